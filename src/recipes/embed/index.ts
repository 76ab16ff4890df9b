export { type EmbeddedPart, type EmbedOptions, type EmbedResult, embed } from "./embed.js";
export type { EmbeddingsCard } from "./embeddings-folder.js";
export type { Pool } from "./pooled.js";
export { shardOf } from "./shard.js";
