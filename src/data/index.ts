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
