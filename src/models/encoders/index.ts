export { AutoregressiveEncoder, type AutoregressiveOptions } from "./autoregressive.js";
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
export { EventEmbedding, type EventEmbeddingOptions } from "./event-embedding.js";
export { FeatureHeads, type FeatureHeadsOptions } from "./feature-heads.js";
export {
  type EncoderFamily,
  type EncoderSurroundings,
  featureNamesOf,
  type MakeEncoderOptions,
  makeEncoder,
} from "./make-encoder.js";
