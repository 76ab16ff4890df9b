export type { Dropped, SourceFile } from "./collect/collected.js";
export type { ErrorPolicy } from "./collect/problems.js";
export type { Credit } from "./credits.js";
export type { Dictionary } from "./dictionary.js";
export {
  type DownloadableDataset,
  downloadableDatasets,
  type RemoteFile,
} from "./download/datasets.js";
export { type Download, type DownloadOptions, download } from "./download/download.js";
export type { DownloadedFile, Receipt } from "./download/receipt.js";
export type { UnzippedFile, ZipLimits } from "./download/unzip.js";
export type { Feature, FeatureKind } from "./feature.js";
export type { ArrowData, ArrowTable } from "./formats/arrow.js";
export type { Rows } from "./formats/iterable.js";
export type { ReaderOptions, Row, RowReader } from "./formats/row.js";
export type { Distribution } from "./inspect/distribution.js";
export {
  type ClockInfo,
  type DataInfo,
  type FeatureInfo,
  type HistoryInfo,
  type InfoOptions,
  info,
  type PopularityInfo,
  type RepeatInfo,
  type WindowInfo,
} from "./inspect/info.js";
export type { Problem } from "./inspect/problem-list.js";
export type { TextInfo } from "./inspect/text-survey.js";
export type { TitleInfo } from "./inspect/title-survey.js";
export { validate } from "./inspect/validate.js";
export type { BagInputs, Batch, BatchLayout } from "./loader/batch.js";
export { Loader, type LoaderState, type LoaderWindows } from "./loader/loader.js";
export type { LoaderData } from "./loader/loader-features.js";
export type { LoaderOptions } from "./loader/loader-options.js";
export { permutation } from "./loader/permutation.js";
export { formatVersion, type Manifest, type PreparedFile } from "./manifest.js";
export { type PrepareOptions, prepare } from "./prepare.js";
export type { ArrowColumn, TextColumn } from "./prepared/arrow-table.js";
export { type Bags, PreparedData } from "./prepared/prepared-data.js";
export type {
  Column,
  EventsMapping,
  FeatureMapping,
  ItemsMapping,
  Source,
  Table,
  TimeUnit,
} from "./source.js";
export * from "./sources/index.js";
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
export type { DocumentPart } from "./texts/document-part.js";
export { type ReadDocumentsOptions, type ReadPart, readDocuments } from "./texts/read-documents.js";
export { textFiles } from "./texts/text-files.js";
export {
  type DisjointUsers,
  type Moment,
  type Split,
  type SplitDecisions,
  type SplitOptions,
  split,
  type TemporalOptions,
} from "./windows/split.js";
export type { SplitCard, SplitPart } from "./windows/split-card.js";
export { type Window, type WindowRun, type WindowRuns, Windows } from "./windows/windows.js";
