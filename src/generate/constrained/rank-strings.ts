import { UsageError } from "../../errors.js";
import type { Decoder } from "../../models/index.js";
import type { SequenceStart } from "../decode-loop.js";
import { Beams, BestFirst } from "./frontier.js";
import { BestStrings, BetterStrings, Exclusions, type Goal, type RankedString } from "./goal.js";
import { runSearches, type SearchSizes } from "./run-searches.js";
import { StringSearch } from "./string-search.js";
import type { TokenTrie } from "./token-trie.js";

export interface SearchOptions extends SearchSizes {
  /** Strings that each prompt leaves out, by index: items that a user has seen. Default: none. */
  readonly excluded?: readonly ArrayLike<number>[] | undefined;
  /** Nodes of the trie that a prompt's search computes before it gives up and is not exact. Default: no limit. */
  readonly maxNodes?: number | undefined;
}

/** Ids of a prompt's tokens; or those and the soft tokens before them. */
export type RankingPrompt = ArrayLike<number> | SequenceStart;

export interface RankStringsOptions extends SearchOptions {
  /** Strings to return for each prompt; fewer where there are fewer. Default: 10. */
  readonly k?: number | undefined;
  /** `exact` finds the best strings for certain; `beam` looks at the best beginnings of each length. Default: `exact`. */
  readonly mode?: "exact" | "beam" | undefined;
  /** Of `beam`: beginnings of each length that go on. Default: `16 · k`. */
  readonly beams?: number | undefined;
}

export interface StringRanking {
  /** Best first; of equal scores the smaller index. */
  readonly strings: readonly RankedString[];
  /** Whether these are the best strings for certain, up to the rounding of the model's sums. */
  readonly exact: boolean;
  /** Nodes of the trie that were computed for the prompt, each a token. */
  readonly nodes: number;
  /** Passes of the model that the prompt took part in. */
  readonly passes: number;
}

/**
 * The strings of a catalogue that a language model finds most likely behind each prompt.
 *
 *     score(string) = Σ log p(token | prompt, tokens before) + log p(end | prompt, string)
 *
 * Probabilities are of the whole vocabulary, whether strings of the catalogue go on with a token or not; scores are sums,
 * not divided by the length. So that of a string's beginning bounds that of the string, and a search that always goes on
 * with the best beginning is exact once no beginning is as good as the k-th string.
 *
 * @param trie    of the model's own tokenizer: see `catalogueTrie`
 * @throws UsageError when prompts, trie and model do not fit, or the model's probabilities are no numbers
 */
export async function rankStrings(
  decoder: Decoder,
  prompts: readonly RankingPrompt[],
  trie: TokenTrie,
  options: RankStringsOptions = {},
): Promise<StringRanking[]> {
  const { k = 10, mode = "exact", beams = 16 * k, ...shared } = options;
  requireCount("rankStrings", { k, beams });
  if (mode !== "exact" && mode !== "beam")
    throw new UsageError(`rankStrings: mode must be "exact" or "beam", got "${mode as string}"`);
  const goals: BestStrings[] = [];
  const newSearch = searchMaker(prompts, trie, shared);
  const searches = await runSearches(decoder, prompts.map(asStart), trie, {
    ...shared,
    task: "ranking titles",
    search: (prompt) =>
      newSearch(prompt, mode === "beam" ? beams : undefined, (exclusions) => {
        goals[prompt] = new BestStrings(k, exclusions);
        return goals[prompt];
      }),
  });
  return searches.map((search, prompt) => ({
    strings: goals[prompt]!.strings,
    ...countsOf(search),
  }));
}

export interface RankTargetsOptions extends SearchOptions {
  /** Ranks that matter: one beyond it is given as `maxRank + 1`, which saves most of the search. Default: all. */
  readonly maxRank?: number | undefined;
}

export interface TargetRank extends Omit<StringRanking, "strings"> {
  /**
   * 1 and the number of other strings, not left out, whose score is not below the target's: pessimistic, as ties count
   * against it. At most `maxRank + 1`; where `exact` is false, at least this.
   */
  readonly rank: number;
  readonly score: number;
}

/**
 * The rank of a string behind each prompt among all strings of the catalogue, for recall, NDCG and MRR; scores are those
 * of {@link rankStrings}.
 *
 * @param targets the string of each prompt, by index; it is ranked even where it is left out
 * @throws as {@link rankStrings}
 */
export async function rankTargetStrings(
  decoder: Decoder,
  prompts: readonly RankingPrompt[],
  trie: TokenTrie,
  targets: readonly number[],
  { maxRank = trie.strings, ...shared }: RankTargetsOptions = {},
): Promise<TargetRank[]> {
  requireCount("rankTargetStrings", { maxRank });
  if (targets.length !== prompts.length)
    throw new UsageError(
      `rankTargetStrings: targets must be one for each of ${prompts.length} prompts, got ${targets.length}`,
    );
  const wrong = targets.find(
    (target) => !(Number.isInteger(target) && target >= 0 && target < trie.strings),
  );
  if (wrong !== undefined)
    throw new UsageError(`rankTargetStrings: ${wrong} is not one of ${trie.strings} strings`);
  const goals: BetterStrings[] = [];
  const newSearch = searchMaker(prompts, trie, shared);
  const searches = await runSearches(decoder, prompts.map(asStart), trie, {
    ...shared,
    task: "ranking targets",
    targets,
    search: (prompt) =>
      newSearch(prompt, undefined, (exclusions) => {
        goals[prompt] = new BetterStrings(targets[prompt]!, maxRank, exclusions);
        return goals[prompt];
      }),
  });
  return searches.map((search, prompt) => {
    const { rank, score } = goals[prompt]!;
    return { rank, score, ...countsOf(search) };
  });
}

/** Makes searches as the options say. */
function searchMaker(
  prompts: readonly unknown[],
  trie: TokenTrie,
  { excluded, maxNodes = Number.POSITIVE_INFINITY }: SearchOptions,
) {
  if (excluded && excluded.length !== prompts.length)
    throw new UsageError(
      `excluded must be one list for each of ${prompts.length} prompts, got ${excluded.length}`,
    );
  if (maxNodes !== Number.POSITIVE_INFINITY) requireCount("SearchOptions", { maxNodes });
  return (
    prompt: number,
    beams: number | undefined,
    goalOf: (exclusions: Exclusions) => Goal,
  ): StringSearch => {
    const own = new Exclusions(trie, excluded?.[prompt]);
    const frontier = beams === undefined ? new BestFirst() : new Beams(beams);
    return new StringSearch(prompt, trie, goalOf(own), frontier, own, maxNodes);
  };
}

const countsOf = ({ isExact, expanded, passes }: StringSearch) => ({
  exact: isExact,
  nodes: expanded,
  passes,
});

function asStart(prompt: RankingPrompt): SequenceStart {
  if ("ids" in prompt) return prompt;
  return { ids: prompt instanceof Int32Array ? prompt : Int32Array.from(prompt) };
}

function requireCount(where: string, options: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(options))
    if (!(Number.isSafeInteger(value) && value >= 1))
      throw new UsageError(`${where}: ${name} must be a whole number from 1, got ${value}`);
}
