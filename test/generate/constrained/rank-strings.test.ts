/** Rankings of strings by a language model, against every string computed whole. */
import test, { type ExecutionContext } from "ava";
import {
  type RankStringsOptions,
  rankStrings,
  rankTargetStrings,
  type StringRanking,
  TokenTrie,
} from "../../../src/generate/constrained/index.js";
import { memory } from "../../../src/tensor/index.js";
import {
  decoderOf,
  end,
  kinds,
  randomPrompts,
  randomStrings,
  scoresByDefinition,
} from "./random-catalogue.js";

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => {
  t.is(memory().tensors, before, "tensors leaked");
});

/** Rounding of sums in float32, in another order. */
const tolerance = 2e-4;

function sameRanking(
  t: ExecutionContext,
  { strings }: Pick<StringRanking, "strings">,
  scores: readonly number[],
  k: number,
  excluded: ReadonlySet<number> = new Set(),
): void {
  const wanted = [...scores.keys()]
    .filter((string) => !excluded.has(string))
    .sort((a, b) => scores[b]! - scores[a]! || a - b)
    .slice(0, k);
  t.is(strings.length, wanted.length);
  for (const [i, { string, score }] of strings.entries()) {
    t.true(Math.abs(score - scores[string]!) < tolerance, `score of string ${string}`);
    // What is so close may be swapped.
    if (string !== wanted[i])
      t.true(Math.abs(scores[string]! - scores[wanted[i]!]!) < tolerance, `place ${i}`);
    t.false(excluded.has(string));
    const last = strings[i - 1];
    if (last) t.true(last.score > score || (last.score === score && last.string < string));
  }
  t.is(new Set(strings.map(({ string }) => string)).size, strings.length);
}

for (const [name, options] of Object.entries(kinds))
  for (const seed of [1, 2, 3])
    test.serial(`exact is brute force, seed ${seed}: ${name}`, async (t) => {
      using decoder = decoderOf(options, seed);
      const strings = randomStrings(320, seed);
      const trie = await TokenTrie.build(strings, { end });
      const prompts = randomPrompts(5, seed);
      const rankings = await rankStrings(decoder, prompts, trie, { k: 12 });
      const targets = prompts.map((_, i) => (31 * i + seed) % 320);
      const ranks = await rankTargetStrings(decoder, prompts, trie, targets);
      for (const [i, prompt] of prompts.entries()) {
        const scores = await scoresByDefinition(decoder, prompt, strings);
        t.true(rankings[i]!.exact);
        t.true(rankings[i]!.nodes < trie.nodes);
        sameRanking(t, rankings[i]!, scores, 12);
        const { rank, score, exact } = ranks[i]!;
        t.true(exact);
        t.true(Math.abs(score - scores[targets[i]!]!) < tolerance);
        const better = (least: number) => scores.filter((other) => other >= least).length;
        t.true(rank >= better(score + tolerance) && rank <= better(score - tolerance));
      }
    });

export const settings: RankStringsOptions[] = [
  { promptsAtOnce: 1, nodesAtOnce: 1 },
  { promptsAtOnce: 2, nodesAtOnce: 7 },
  { promptsAtOnce: 9, nodesAtOnce: 500 },
  { maxBytes: 512 * 60 },
];
test.serial("who else is searched for changes nothing", async (t) => {
  using decoder = decoderOf(kinds["rotary, grouped heads"]!, 5);
  const strings = randomStrings(300, 5);
  const trie = await TokenTrie.build(strings, { end });
  const prompts = randomPrompts(9, 5);
  const wanted = await rankStrings(decoder, prompts, trie, { k: 5 });
  for (const options of settings) {
    const rankings = await rankStrings(decoder, prompts, trie, { k: 5, ...options });
    for (const [i, { strings, exact }] of rankings.entries()) {
      t.true(exact);
      for (const [place, { string, score }] of strings.entries()) {
        t.is(string, wanted[i]!.strings[place]!.string);
        t.true(Math.abs(score - wanted[i]!.strings[place]!.score) < tolerance);
      }
    }
  }
});
