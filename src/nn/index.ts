export { Parameter } from "../autograd/parameter.js";
export {
  type AttentionLayerOptions,
  type CachedTokens,
  MultiHeadAttention,
  type MultiHeadAttentionInputs,
  type MultiHeadAttentionOptions,
  type SequenceOptions,
} from "./attention.js";
export { Cache, type CacheOptions, type LayerAppendOptions } from "./cache.js";
export {
  CrossAttention,
  type CrossAttentionInputs,
  type CrossAttentionOptions,
  type ProjectedContext,
} from "./cross-attention.js";
export { Dropout } from "./dropout.js";
export { Embedding, type EmbeddingOptions } from "./embedding.js";
export { GatedMLP, type GatedMLPOptions } from "./gated-mlp.js";
export type { InitOptions } from "./init.js";
export * as init from "./init.js";
export { Linear, type LinearLayerOptions } from "./linear.js";
export { type AdaptableLinear, LoraLinear, type LoraOptions } from "./lora-linear.js";
export { MLP, type MLPOptions } from "./mlp.js";
export { Module } from "./module.js";
export { LayerNorm, type NormOptions, RMSNorm, type RMSNormOptions } from "./norm.js";
export { Perceiver, type PerceiverOptions } from "./perceiver.js";
export { RotaryEmbedding, type RotaryEmbeddingOptions } from "./rotary.js";
export {
  type KeyValueStore,
  RowCache,
  type RowCacheOptions,
  type RowGroup,
} from "./row-cache.js";
export {
  type SequenceKeys,
  type SharedKeys,
  type StoredAttentionOptions,
  storedAttention,
} from "./stored-attention.js";
export { TransformerBlock, type TransformerBlockOptions } from "./transformer-block.js";
