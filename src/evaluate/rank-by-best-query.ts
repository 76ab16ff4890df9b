import type { ItemTable } from "../models/index.js";
import {
  cast,
  concat,
  gather,
  less,
  linear,
  max,
  reshape,
  slice,
  subtract,
  sum,
} from "../ops/index.js";
import { tidy } from "../tensor/memory.js";
import { type Tensor, tensor } from "../tensor/tensor.js";
import type { Seen } from "./ranker.js";
import { seenBy } from "./seen.js";

/** Scores that exist at a time: 16 MiB of them in float32. */
const mostScores = 1 << 22;

/**
 * Ranks of targets where an item's score is the highest of several queries' (`rankOfTargets` has one query). Exact and
 * as pessimistic: a score that is not a number for one of the queries is none at all.
 *
 * All scores of some windows are computed at once, those of the target among them, so that equal embeddings are equal to
 * the bit.
 *
 * @param query `[size, k, width]`
 * @returns     `[size]` each, int32
 */
export function rankByBestQuery(
  query: Tensor,
  table: ItemTable,
  targets: Int32Array,
  seen: Seen,
): { unmasked: Tensor; masked: Tensor } {
  const [size, queries] = query.shape as [number, number, number];
  const items = table.weight.shape[0]!;
  const block = Math.max(1, Math.floor(mostScores / (queries * items)));
  const parts: { unmasked: Tensor; masked: Tensor }[] = [];
  for (let from = 0; from < size; from += block) {
    const to = Math.min(size, from + block);
    parts.push(
      tidy(() => {
        const below = itemsBelow(slice(query, 0, from, to), table, targets.subarray(from, to));
        const unmasked = subtract(items, sum(below, 1));
        return { unmasked, masked: subtract(unmasked, seenAhead(below, targets, seen, from, to)) };
      }),
    );
  }
  return {
    unmasked: concat(
      parts.map(({ unmasked }) => unmasked),
      0,
    ),
    masked: concat(
      parts.map(({ masked }) => masked),
      0,
    ),
  };
}

/** 1 for each item that scores less than the target: `[windows, items]`, int32. The target itself does not. */
function itemsBelow(query: Tensor, table: ItemTable, targets: Int32Array): Tensor {
  const [windows, queries, width] = query.shape as [number, number, number];
  const { weight, bias, precision, shadow } = table;
  const rows = reshape(query, [windows * queries, width]);
  const all = linear(rows, weight, bias, { ...(precision && { precision }), shadow });
  const scores = max(reshape(all, [windows, queries, weight.shape[0]!]), 1);
  const own = gather(scores, tensor(targets, { shape: [windows, 1] }), 1);
  return cast(less(scores, own), "int32");
}

/** How many different items of each list are not below the target, itself left out: `[windows]`, int32. */
function seenAhead(
  below: Tensor,
  targets: Int32Array,
  seen: Seen,
  from: number,
  to: number,
): Tensor {
  const lists = Array.from({ length: to - from }, (_, i) => {
    const different = new Set(seenBy(seen, from + i));
    different.delete(targets[from + i]!);
    return [...different];
  });
  const longest = Math.max(1, ...lists.map((list) => list.length));
  const padded = new Int32Array(lists.length * longest);
  for (const [i, list] of lists.entries()) {
    // The target is not below itself, and not counted.
    padded.fill(targets[from + i]!, i * longest, (i + 1) * longest);
    padded.set(list, i * longest);
  }
  const shape = [lists.length, longest];
  const behind = sum(gather(below, tensor(padded, { shape }), 1), 1);
  return subtract(tensor(Int32Array.from(lists, (list) => list.length)), behind);
}
