export { AutoregressiveEncoder, type AutoregressiveOptions } from "./autoregressive.js";
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
