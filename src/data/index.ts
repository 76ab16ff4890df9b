export type { BagInputs, Batch, BatchLayout } from "./batch.js";
export { Loader, type LoaderState, type LoaderWindows } from "./loader.js";
export type { LoaderData } from "./loader-features.js";
export type { LoaderOptions } from "./loader-options.js";
export { permutation } from "./permutation.js";
export { type SyntheticModel, syntheticModel } from "./synthetic/model.js";
export type {
  SyntheticOptions,
  SyntheticParameters,
  SyntheticPreset,
} from "./synthetic/options.js";
export {
  bayesProbabilities,
  bayesRanking,
  type DescribeSyntheticOptions,
  describeSynthetic,
  type RankingScores,
  type RatedItem,
  type SyntheticCard,
} from "./synthetic/oracle.js";
export { synthetic } from "./synthetic/source.js";
export {
  type WriteSyntheticOptions,
  writeSynthetic,
  writeSyntheticCard,
} from "./synthetic/write-synthetic.js";
