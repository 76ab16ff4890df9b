import type { Decoder } from "../../models/index.js";
import { type RankingPrompt, type RankStringsOptions, rankStrings } from "./rank-strings.js";
import type { TokenTrie } from "./token-trie.js";

/** What beams cost and miss, beside the exact search. */
export interface BeamError {
  /** Share of the prompts' `k` best strings that beams do not find, over all prompts: 0 to 1. */
  readonly missed: number;
  /** Share of prompts of which they find all. */
  readonly complete: number;
  /** Nodes that were computed for a prompt, on average. */
  readonly nodes: { readonly exact: number; readonly beam: number };
}

/**
 * Measures what beams miss, on a sample of prompts for which the exact search is affordable.
 *
 * @param options those of the beams to judge; `mode` is set here. Where `maxNodes` ends an exact search, beams are
 * compared with the best that was found
 * @throws as {@link rankStrings}
 */
export async function measureBeams(
  decoder: Decoder,
  prompts: readonly RankingPrompt[],
  trie: TokenTrie,
  options: Omit<RankStringsOptions, "mode"> = {},
): Promise<BeamError> {
  const wanted = await rankStrings(decoder, prompts, trie, { ...options, mode: "exact" });
  const found = await rankStrings(decoder, prompts, trie, { ...options, mode: "beam" });
  const missed = wanted.map(({ strings }, prompt) => {
    const names = new Set(found[prompt]!.strings.map(({ string }) => string));
    return strings.filter(({ string }) => !names.has(string)).length;
  });
  const all = sum(wanted.map(({ strings }) => strings.length));
  const nodes = (rankings: readonly { readonly nodes: number }[]): number =>
    sum(rankings.map((ranking) => ranking.nodes)) / Math.max(1, prompts.length);
  return {
    missed: sum(missed) / Math.max(1, all),
    complete: missed.filter((count) => count === 0).length / Math.max(1, prompts.length),
    nodes: { exact: nodes(wanted), beam: nodes(found) },
  };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
