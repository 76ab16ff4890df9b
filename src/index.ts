export * from "./autograd/index.js";
export * from "./errors.js";
export * from "./nn/index.js";
export * from "./ops/index.js";
export * from "./optim/index.js";
export * from "./tensor/index.js";
