export type { BagInputs, Batch, BatchLayout } from "./batch.js";
export { type DownloadableDataset, downloadableDatasets } from "./download/datasets.js";
export { type Download, type DownloadOptions, download } from "./download/download.js";
export type { DownloadedFile, Receipt } from "./download/receipt.js";
export type { ZipLimits } from "./download/unzip.js";
export type { Feature, FeatureKind } from "./feature.js";
export { type DataInfo, type InfoOptions, info } from "./info.js";
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
export {
  type DisjointUsers,
  type Moment,
  type Split,
  type SplitDecisions,
  type SplitOptions,
  split,
  type TemporalOptions,
} from "./split.js";
export type { SplitCard, SplitPart } from "./split-card.js";
export { bayesProbabilities, bayesRanking, type RatedItem } from "./synthetic/bayes-ranking.js";
export {
  type DescribeSyntheticOptions,
  describeSynthetic,
  type SyntheticCard,
} from "./synthetic/describe-synthetic.js";
export { type SyntheticModel, syntheticModel } from "./synthetic/model.js";
export type {
  SyntheticOptions,
  SyntheticParameters,
  SyntheticPreset,
} from "./synthetic/options.js";
export {
  type PrepareSyntheticOptions,
  prepareSynthetic,
} from "./synthetic/prepare-synthetic.js";
export type { MeanScores, RankingScores } from "./synthetic/ranking-scores.js";
export { synthetic } from "./synthetic/source.js";
export {
  type WriteSyntheticOptions,
  writeSynthetic,
} from "./synthetic/write-synthetic.js";
export { validate } from "./validate.js";
export type { Problem } from "./validate-problems.js";
export { type Window, Windows } from "./windows.js";
