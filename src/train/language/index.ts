export {
  type EncodedDocuments,
  encodeDocuments,
  textWindows,
} from "./encode-documents.js";
export {
  type EncodedExamples,
  type EncodeExamplesOptions,
  encodeExamples,
  type LanguageExample,
  type TextEncoding,
} from "./encode-examples.js";
export { type LanguageLoss, type MeasureLossOptions, measureLoss } from "./measure-loss.js";
export { TokenBatches, type TokenBatchesOptions } from "./token-batches.js";
export { type SequenceSpans, TokenSequences } from "./token-sequences.js";
