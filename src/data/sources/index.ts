export { type AmazonFiles, type AmazonLayout, type AmazonOptions, amazon } from "./amazon.js";
export { type ArrowSourceOptions, fromArrow } from "./arrow.js";
export type { FeatureOptions } from "./feature-options.js";
export { type GoogleLocalFiles, googleLocal } from "./google-local.js";
export { fromIterable, type IterableSourceOptions } from "./iterable.js";
export { movielens } from "./movielens.js";
export type { ItemRowOptions, RowOptions } from "./row-options.js";
export { type TableEvents, type TableItems, type TableOptions, table } from "./table.js";
export type { TableFile, TableFormat } from "./table-file.js";
