export { type Appended, AutoregressiveEncoder, type NewEvents } from "./autoregressive.js";
export type { AutoregressiveOptions, SampledSoftmaxOptions } from "./autoregressive-options.js";
export { Bert4RecEncoder, type Bert4RecOptions } from "./bert4rec.js";
export type { ClozeOptions } from "./cloze.js";
export type { EncoderConfig, EncoderOptions } from "./config.js";
export { DualEncoder } from "./dual.js";
export type { DualOptions } from "./dual-options.js";
export type {
  EncoderData,
  EncoderFeature,
  EncoderLoss,
  ItemTable,
  TrainingData,
  UserEncoder,
} from "./encoder.js";
export { EventCache, type EventCacheOptions } from "./event-cache.js";
export { EventEmbedding, type EventEmbeddingOptions, type EventInputs } from "./event-embedding.js";
export { FeatureHeads, type FeatureHeadsOptions, type Negatives } from "./feature-heads.js";
export {
  type EncoderFamily,
  type EncoderSurroundings,
  featureNamesOf,
  type MakeEncoderOptions,
  makeEncoder,
} from "./make-encoder.js";
export {
  type DrawnItems,
  NegativeSampler,
  type NegativeSamplerOptions,
} from "./negative-sampler.js";
export { sampledCrossEntropy } from "./sampled-cross-entropy.js";
