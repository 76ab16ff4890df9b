export * from "./autograd/index.js";
export * as data from "./data/index.js";
export * from "./errors.js";
export * from "./nn/index.js";
export * from "./ops/index.js";
export * from "./optim/index.js";
export type { LongCall, Progress, ProgressListener } from "./progress.js";
export * as tasks from "./tasks/index.js";
export * from "./tensor/index.js";
