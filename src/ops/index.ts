import "./methods.js";

export { accumulate } from "./accumulate.js";
export { type ArangeOptions, arange } from "./arange.js";
export {
  type AttentionOptions,
  type AttentionRules,
  attention,
  attentionPart,
  type Rotary,
  type SelfAttentionOptions,
  selfAttention,
} from "./attention.js";
export {
  add,
  divide,
  maximum,
  minimum,
  multiply,
  type Operand,
  pow,
  subtract,
} from "./binary.js";
export { broadcastTo } from "./broadcast-to.js";
export {
  type CacheAppendOptions,
  type CachedKeys,
  cacheAppend,
  type NewKeys,
} from "./cache-append.js";
export { cast, clone } from "./cast.js";
export { causalMask } from "./causal-mask.js";
export { type ClampLimits, clamp } from "./clamp.js";
export {
  equal,
  greater,
  greaterEqual,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  notEqual,
} from "./compare.js";
export { concat, stack } from "./concat.js";
export { type CrossEntropyOptions, crossEntropy } from "./cross-entropy.js";
export { type EmbeddingBagOptions, embedding, embeddingBag, embeddings } from "./embedding.js";
export { countFlops, type FlopCount, type PaperFlopsOptions, paperFlops } from "./flops.js";
export { type CreationOptions, full, ones, onesLike, zeros, zerosLike } from "./full.js";
export { type GateActivation, geglu, swiglu } from "./gated.js";
export { gather } from "./gather.js";
export {
  accumulateWeighted,
  clipByNorm,
  divideBy,
  globalNorm,
  scaleGradients,
} from "./gradients.js";
export { type LinearOptions, linear } from "./linear.js";
export { type LinearCrossEntropyOptions, linearCrossEntropy } from "./linear-cross-entropy.js";
export { logSoftmax } from "./log-softmax.js";
export { type LoraLinearOptions, type LowRankAdapter, loraLinear } from "./lora-linear.js";
export { type MatmulOptions, matmul } from "./matmul.js";
export {
  type CatalogueOptions,
  type Excluded,
  matmulTopK,
  rankOfTargets,
} from "./matmul-top-k.js";
export {
  type AddedAndNormalized,
  addLayerNorm,
  addRmsNorm,
  type LayerNormOptions,
  layerNorm,
  type RmsNormOptions,
  rmsNorm,
} from "./norm.js";
export {
  type AdafactorTensors,
  type AdamWTensors,
  adafactorStep,
  adamwStep,
  type LionTensors,
  lionStep,
  type SgdTensors,
  type StepTensors,
  sgdStep,
} from "./optimizer-steps.js";
export type { Precision } from "./precision.js";
export {
  type DropoutOptions,
  defaultGenerator,
  dropout,
  Generator,
  type GeneratorState,
  type RandnOptions,
  type RandOptions,
  type RandomFloatOptions,
  type RandomOptions,
  rand,
  randint,
  randn,
  seed,
  type TruncatedNormalOptions,
  truncatedNormal,
} from "./random.js";
export { type Axes, max, mean, min, type ReduceOptions, sum } from "./reduce.js";
export { reshape, squeeze, unsqueeze } from "./reshape.js";
export { type RotaryStyle, type RotaryTableOptions, rotaryTable } from "./rotary.js";
export {
  type Sample,
  type SampleOptions,
  sample,
  sampleWithLogProbability,
} from "./sample.js";
export { chunk, pad, slice, split } from "./slice.js";
export { softmax } from "./softmax.js";
export { noGrad } from "./tape.js";
export { argmax, type TopK, topK } from "./top-k.js";
export { transpose } from "./transpose.js";
export {
  abs,
  cos,
  exp,
  gelu,
  geluExact,
  log,
  negate,
  reciprocal,
  relu,
  rsqrt,
  sigmoid,
  silu,
  sin,
  softplus,
  sqrt,
  square,
  tanh,
} from "./unary.js";
export { where } from "./where.js";
