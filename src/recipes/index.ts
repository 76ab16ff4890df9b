export type { Config } from "./config.js";
export { type ConfigOptions, configure } from "./configure.js";
export {
  type EmbeddedPart,
  type EmbeddingsCard,
  type EmbedOptions,
  type EmbedResult,
  embed,
  type Pool,
  shardOf,
} from "./embed/index.js";
export {
  type CardFeature,
  type EncoderCard,
  type EncoderProvenance,
  findEncoder,
  type LoadEncoderOptions,
  type LoadedEncoder,
  loadEncoder,
  restoreEncoder,
  type SaveEncoderOptions,
  type StoredFile,
  saveEncoder,
} from "./encoder-bundle/index.js";
export { encoderDataOf, trainingDataOf } from "./encoder-data.js";
export { type EvaluateEncoderOptions, evaluateEncoder } from "./evaluate.js";
export {
  type ExampleFacts,
  exportMerged,
  type FinetuningPlan,
  finetune,
  type MergeOptions,
  planFinetuning,
} from "./finetune/index.js";
export { type PretrainingPlan, planPretraining } from "./plan.js";
export { type PretrainOptions, type PretrainResult, pretrain } from "./pretrain.js";
export { type LmPlan, planLm, pretrainLm, type TextFacts } from "./pretrain-lm/index.js";
export { pretrainTrial } from "./pretrain-trial.js";
export { type RunTrial, type SweepOptions, sweep, type TrialOutcome } from "./sweep.js";
export type { RunOptions, RunResult } from "./train-in-folder.js";
