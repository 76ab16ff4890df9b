import test from "ava";
import fc from "fast-check";
import { MergeTable } from "../../src/tokenizers/models/merge-table.js";
import { Merger } from "../../src/tokenizers/models/merger.js";

type Merge = readonly [left: number, right: number];

/** By definition: again and again, the pair of the lowest rank, of these the leftmost. Merge `rank` makes `10 + rank`. */
function mergedByDefinition(merges: readonly Merge[], symbols: readonly number[]): number[] {
  const current = [...symbols];
  for (;;) {
    let best: { rank: number; at: number } | undefined;
    for (let at = 0; at + 1 < current.length; at++) {
      const rank = merges.findLastIndex(
        ([left, right]) => left === current[at] && right === current[at + 1],
      );
      if (rank >= 0 && (best === undefined || rank < best.rank)) best = { rank, at };
    }
    if (best === undefined) return current;
    current.splice(best.at, 2, 10 + best.rank);
  }
}

/** A few symbols and what merges of lower rank make, so that there is much to merge. */
const merges = fc.array(fc.tuple(fc.nat(1000), fc.nat(1000)), { maxLength: 25 }).map((pairs) =>
  pairs.map(([left, right], rank): Merge => {
    const symbol = (choice: number): number => {
      const chosen = choice % (4 + rank);
      return chosen < 4 ? chosen : 10 + chosen - 4;
    };
    return [symbol(left), symbol(right)];
  }),
);

test("merging is what the definition says, for any merges and symbols", (t) => {
  const symbols = fc.array(fc.nat(3), { maxLength: 120 });
  fc.assert(
    fc.property(merges, fc.array(symbols, { minLength: 1, maxLength: 3 }), (given, words) => {
      const table = new MergeTable(given.length);
      given.forEach(([left, right], rank) => table.set(left, right, rank, 10 + rank));
      const merger = new Merger(table); // one for all words, which must not know of each other
      for (const word of words) {
        const result = Int32Array.from(word);
        const count = merger.merge(result, word.length);
        t.deepEqual([...result.subarray(0, count)], mergedByDefinition(given, word));
      }
    }),
    { numRuns: 500 },
  );
});

test("a table of many merges finds each, and no other", (t) => {
  const count = 50_000;
  const table = new MergeTable(count);
  const left = (i: number): number => (i * 7919) % 60_000;
  for (let i = 0; i < count; i++) table.set(left(i), i, i, i + 1);
  for (let i = 0; i < count; i++) {
    if (table.rank(left(i), i) !== i || table.merged(left(i), i) !== i + 1) t.fail(`${i}`);
    if (table.rank(i, left(i) + 60_001) !== -1) t.fail(`${i} has no such merge`);
  }
  t.pass();
});
