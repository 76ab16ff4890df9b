export { type CatalogueTrieOptions, catalogueTrie } from "./catalogue-trie.js";
export type { RankedString } from "./goal.js";
export { type BeamError, measureBeams } from "./measure-beams.js";
export {
  type RankingPrompt,
  type RankStringsOptions,
  type RankTargetsOptions,
  rankStrings,
  rankTargetStrings,
  type SearchOptions,
  type StringRanking,
  type TargetRank,
} from "./rank-strings.js";
export type { SearchSizes } from "./run-searches.js";
export { TokenTrie, type TokenTrieOptions } from "./token-trie.js";
