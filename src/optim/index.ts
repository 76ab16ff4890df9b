export { Adafactor, type AdafactorOptions } from "./adafactor.js";
export { AdamW, type AdamWOptions } from "./adamw.js";
export { clipGradNorm } from "./clip-grad-norm.js";
export { GradientAccumulator } from "./gradient-accumulator.js";
export { Lion, type LionOptions } from "./lion.js";
export { Optimizer } from "./optimizer.js";
export {
  constantWithWarmup,
  cosineWithWarmup,
  type DecayOptions,
  linearWithWarmup,
  type WarmupOptions,
} from "./schedules.js";
export { SGD, type SGDOptions } from "./sgd.js";
export type {
  OptimizerParameters,
  OptimizerState,
  PerParameterOptions,
  StepOptions,
  StepResult,
} from "./slots.js";
