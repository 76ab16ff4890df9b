export { type BayesShare, bayesShare, type GapClosed } from "./bayes-share.js";
export { type CoOccurrenceOptions, coOccurrence } from "./co-occurrence.js";
export {
  type ComparePairedOptions,
  comparePaired,
  type RankingComparison,
} from "./compare-paired.js";
export { describeComparison } from "./describe-comparison.js";
export { describeRanking } from "./describe-ranking.js";
export { type EncoderRanker, type EncoderRankerOptions, encoderRanker } from "./encoder-ranker.js";
export { type EvaluateRankingOptions, evaluateRanking } from "./evaluate-ranking.js";
export { type MetricName, worthOf } from "./metrics.js";
export { mostPopular } from "./most-popular.js";
export type {
  Ranker,
  Ranks,
  Recommender,
  Seen,
  TopItems,
  TopItemsOptions,
} from "./ranker.js";
export { readRanking, writeRanking } from "./ranking-file.js";
export type {
  Estimate,
  Measurement,
  RankedWindows,
  RankingCounts,
  RankingProtocol,
  RankingResult,
} from "./ranking-result.js";
export { type ScoreRankerOptions, scoreRanker } from "./score-ranker.js";
