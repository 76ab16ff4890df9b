import type { Batch } from "../data/index.js";

/** The items that users had before the targets of a batch, in the order of time: what masking leaves out. */
export interface Seen {
  /** Items of the first window, then of the next: `[events]`. An item comes as often as the user had it. */
  readonly ids: Int32Array;
  /** Window `i` has `ids[offsets[i] ... offsets[i + 1])`: `[size + 1]`. */
  readonly offsets: Int32Array;
}

/**
 * The ranks of a batch's targets among all items, from 1 on: `[size]` each. Pessimistic: an item that scores the same as
 * the target comes before it, and so does one whose score is not a number; a target whose score is none comes last.
 */
export interface Ranks {
  /** Every item competes. */
  readonly unmasked: Int32Array;
  /** Items that the user had before do not compete. The target does, even if the user had it before. */
  readonly masked: Int32Array;
}

/** Whatever orders all items for a user: what `evaluateRanking` measures. */
export interface Ranker {
  /** For tables and reports. */
  readonly name: string;
  /** How many items it orders: all of the data. */
  readonly items: number;
  /** What batches must have: `item` and features of the data. */
  readonly features: readonly string[];
  /**
   * Ranks the target of each window of a batch. The batch's tensors live until the promise settles. The next call may come
   * before that.
   */
  rank(batch: Batch, targets: Int32Array, seen: Seen): Promise<Ranks>;
}

/** What {@link Recommender.topItems} finds. */
export interface TopItems {
  /** Of each window, at most as many as there are items. */
  readonly count: number;
  /** From the best on, of equal scores the smaller index: `[size, count]`, row by row. -1 where no item is left. */
  readonly items: Int32Array;
  /** `[size, count]`, row by row; -∞ where no item is left. */
  readonly scores: Float64Array;
}

/** What {@link Recommender.topItems} is told. */
export interface TopItemsOptions {
  /** Items to leave out for each window. Default: none. */
  seen?: Seen | undefined;
}

/** A ranker that also names the items it puts first. */
export interface Recommender extends Ranker {
  /**
   * The best items for each window of a batch.
   *
   * @param count of items for each window, at least 1
   * @throws UsageError when the count is none
   */
  topItems(batch: Batch, count: number, options?: TopItemsOptions): Promise<TopItems>;
}
