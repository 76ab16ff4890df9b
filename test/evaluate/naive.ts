/** Ranks and metrics from their definitions, and batches and encoders that need no data. */
import type { Batch } from "../../src/data/index.js";
import type { Ranks, Seen, TopItems } from "../../src/evaluate/index.js";
import type { EncoderLoss, ItemTable, UserEncoder } from "../../src/models/index.js";
import { Module } from "../../src/nn/index.js";
import type { Tensor } from "../../src/tensor/index.js";

/** 1 + the other items, not left out, that do not score below the target. */
export function naiveRank(
  scores: readonly number[],
  target: number,
  leftOut: Iterable<number> = [],
): number {
  const out = new Set(leftOut);
  const ahead = scores.filter(
    (score, item) => item !== target && !out.has(item) && !(score < scores[target]!),
  );
  return 1 + ahead.length;
}

export function naiveRanks(
  scores: readonly (readonly number[])[],
  targets: readonly number[],
  seen: readonly (readonly number[])[],
): { unmasked: number[]; masked: number[] } {
  return {
    unmasked: scores.map((row, i) => naiveRank(row, targets[i]!)),
    masked: scores.map((row, i) => naiveRank(row, targets[i]!, seen[i])),
  };
}

/** The items in the order of recommendations, without those left out. */
export function naiveTop(
  scores: readonly number[],
  count: number,
  leftOut: Iterable<number> = [],
): number[] {
  const out = new Set(leftOut);
  const order = (score: number): number => (Number.isNaN(score) ? 1 : 0);
  return [...scores.keys()]
    .filter((item) => !out.has(item))
    .sort((a, b) => {
      const [x, y] = [scores[a]!, scores[b]!];
      return order(y) - order(x) || (x === y || Number.isNaN(x) ? a - b : y > x ? 1 : -1);
    })
    .slice(0, count);
}

/** The items of one window, those that are there. */
export const topOf = ({ items, count }: TopItems, window: number): number[] =>
  [...items.subarray(window * count, (window + 1) * count)].filter((item) => item >= 0);

export function seenLists(lists: readonly (readonly number[])[]): Seen {
  const offsets = new Int32Array(lists.length + 1);
  for (const [i, list] of lists.entries()) offsets[i + 1] = offsets[i]! + list.length;
  return { ids: Int32Array.from(lists.flat()), offsets };
}

export const plainRanks = ({ unmasked, masked }: Ranks) => ({
  unmasked: [...unmasked],
  masked: [...masked],
});

/** A batch without tensors: for rankers that do not look at them. */
export const emptyBatch = (size: number): Batch => ({
  size,
  layout: "ragged",
  users: Int32Array.from({ length: size }, (_, i) => i),
  targetRows: new Float64Array(size),
  lengths: undefined,
  offsets: undefined,
  extents: new Int32Array(size + 1),
  inputs: {},
  bags: {},
  targets: {},
  keep() {
    return this;
  },
});

/** An encoder whose queries and items are given. */
export class FixedEncoder extends Module implements UserEncoder {
  readonly width = 1;
  readonly embeddingsPerUser = 1;
  readonly features = [{ name: "item", bag: false, size: 1, of: "item" }] as const;
  tables = 0;
  sawTraining = false;

  constructor(
    readonly makeQuery: (batch: Batch) => Tensor,
    readonly makeTable: () => ItemTable,
  ) {
    super();
  }

  loss(): EncoderLoss {
    throw new Error("not trained");
  }

  embed(): Tensor {
    throw new Error("not exported");
  }

  query(batch: Batch): Tensor {
    this.sawTraining ||= this.training;
    return this.makeQuery(batch);
  }

  itemTable(): ItemTable {
    this.tables++;
    return this.makeTable();
  }
}
