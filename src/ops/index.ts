export { accumulate } from "./accumulate.js";
export { add, divide, multiply, type Operand, subtract } from "./binary.js";
export { type CreationOptions, full, ones, onesLike, zeros, zerosLike } from "./full.js";
export { type LinearOptions, linear } from "./linear.js";
export { type MatmulOptions, matmul } from "./matmul.js";
export { reshape, squeeze, unsqueeze } from "./reshape.js";
export { softmax } from "./softmax.js";
export { noGrad } from "./tape.js";
