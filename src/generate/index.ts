export * from "./constrained/index.js";
export {
  type BeforeLayer,
  DecodeLoop,
  type DecodeLoopOptions,
  type SequenceStart,
  type StepSequences,
} from "./decode-loop.js";
export { generate, generateStream } from "./generate.js";
export type {
  FinishReason,
  Generation,
  GenerationChunk,
  TokenLogProbability,
} from "./generation.js";
export type { GenerationDefaults, RecommendedSampling } from "./generation-defaults.js";
export {
  type AnsweringModel,
  LanguageModel,
  type LanguageModelParts,
  type LoadLanguageModelOptions,
} from "./language-model.js";
export type { GenerateOptions } from "./options.js";
export type { Prompt } from "./prompt.js";
