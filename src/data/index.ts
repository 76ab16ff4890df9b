export type { BagInputs, Batch, BatchLayout } from "./batch.js";
export type { Feature, FeatureKind } from "./feature.js";
export { Loader, type LoaderState, type LoaderWindows } from "./loader.js";
export type { LoaderData } from "./loader-features.js";
export type { LoaderOptions } from "./loader-options.js";
export { formatVersion, type Manifest, type PreparedFile } from "./manifest.js";
export { permutation } from "./permutation.js";
export type { Dropped, SourceFile } from "./prepare/collected.js";
export { type PrepareOptions, prepare } from "./prepare/prepare.js";
export type { ErrorPolicy } from "./prepare/problems.js";
export { type Bags, PreparedData } from "./prepared-data.js";
export type {
  Column,
  EventsMapping,
  FeatureMapping,
  ItemsMapping,
  Source,
  TimeUnit,
} from "./source.js";
export * from "./sources/index.js";
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
