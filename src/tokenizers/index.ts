export type { ByteLevelBpeJson } from "./byte-level-bpe/tokenizer-json.js";
export type { ChatMessage, ChatOptions } from "./chat/chat-message.js";
export { type EncodeTextsOptions, encodeTexts, type Texts } from "./encode-texts.js";
export type { SpecialIds } from "./special-tokens.js";
export type { TextStream } from "./text-stream.js";
export type { TokenizedTexts } from "./tokenized-texts.js";
export {
  type DecodeOptions,
  type EncodeOptions,
  Tokenizer,
  type TokenizerOptions,
} from "./tokenizer.js";
export { type TrainBpeOptions, trainByteLevelBpe } from "./train-bpe.js";
