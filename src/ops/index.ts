export { accumulate } from "./accumulate.js";
export { type CreationOptions, full, ones, onesLike, zeros, zerosLike } from "./full.js";
export { reshape, squeeze, unsqueeze } from "./reshape.js";
export { softmax } from "./softmax.js";
export { noGrad } from "./tape.js";
