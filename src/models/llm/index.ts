export * from "./checkpoint/index.js";
export { ConfigReader } from "./config-reader.js";
export { Decoder, type HiddenOptions, ignoredTarget, type TokenBatch } from "./decoder.js";
export { type DecoderMemory, type DecoderMemoryOptions, decoderMemory } from "./decoder-memory.js";
export type {
  DecoderAttentionOptions,
  DecoderDropout,
  DecoderInit,
  DecoderMlp,
  DecoderNorm,
  DecoderOptions,
  DecoderRotary,
} from "./decoder-options.js";
export { llmFamilies } from "./families/index.js";
export type { LlmFamily, NameTable, StoredLayout, StoredModule } from "./family.js";
export {
  familyOf,
  type LoadDecoderOptions,
  type LoadedDecoder,
  loadDecoder,
  restoreDecoder,
} from "./load-decoder.js";
export * from "./lora/index.js";
export { type SaveDecoderOptions, saveDecoder } from "./save-decoder.js";
export { type StoredParameter, storedModule, storedParameters } from "./stored-tensors.js";
