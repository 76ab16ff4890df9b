import { setImmediate } from "node:timers/promises";
import type { Batch } from "../data/index.js";
import { UsageError } from "../errors.js";
import { bestItems, requireCount } from "./best-items.js";
import type { Ranks, Recommender, Seen, TopItems, TopItemsOptions } from "./ranker.js";
import { seenBy } from "./seen.js";

/** What {@link scoreRanker} is made of. */
export interface ScoreRankerOptions {
  /** For tables and reports. */
  name: string;
  /** How many items there are. */
  items: number;
  /**
   * The score of every item as a user's next one: `[items]`. The array is the function's own; it may be the same one at
   * every call.
   *
   * @param history items of the user's events before the target, in the order of time
   */
  scores(history: Int32Array, user: number): ArrayLike<number>;
}

/** Scores looked at between two breaths: about ten milliseconds. */
const breath = 1 << 22;

/**
 * Ranks with scores computed in JavaScript: for baselines and for models that live elsewhere. Ranking costs as much as
 * looking at every item's score.
 *
 *     scoreRanker({ name: "newest first", items: data.items, scores: () => releaseYears })
 *
 * Its `topItems` takes the histories from `seen`, or else what the batch shows of them.
 */
export function scoreRanker(options: ScoreRankerOptions): Recommender {
  return new ScoreRanker(options);
}

class ScoreRanker implements Recommender {
  readonly name: string;
  readonly items: number;
  readonly features = ["item"];
  readonly #scores: ScoreRankerOptions["scores"];
  /** Of each item the last list that it was seen in. */
  readonly #marks: Int32Array;
  #list = 0;
  #looked = 0;

  constructor({ name, items, scores }: ScoreRankerOptions) {
    this.name = name;
    this.items = items;
    this.#scores = scores;
    this.#marks = new Int32Array(items);
  }

  async rank({ users }: Batch, targets: Int32Array, seen: Seen): Promise<Ranks> {
    const unmasked = new Int32Array(targets.length);
    const masked = new Int32Array(targets.length);
    for (let i = 0; i < targets.length; i++) {
      const history = seenBy(seen, i);
      const scores = this.#scoresFor(history, users[i]!);
      unmasked[i] = this.#rankIn(scores, targets[i]!);
      masked[i] = unmasked[i]! - this.#seenAhead(scores, targets[i]!, history);
      await this.#breathe();
    }
    return { unmasked, masked };
  }

  async topItems(batch: Batch, count: number, { seen }: TopItemsOptions = {}): Promise<TopItems> {
    const kept = Math.min(requireCount(count), this.items);
    const histories = seen ?? (await inputItems(batch));
    const items = new Int32Array(batch.size * kept).fill(-1);
    const scores = new Float64Array(batch.size * kept).fill(Number.NEGATIVE_INFINITY);
    for (let i = 0; i < batch.size; i++) {
      const history = seenBy(histories, i);
      const all = this.#scoresFor(history, batch.users[i]!);
      if (seen) this.#mark(history);
      const best = bestItems(
        all,
        kept,
        (item) => seen === undefined || this.#marks[item] !== this.#list,
      );
      items.set(best, i * kept);
      for (let at = 0; at < best.length; at++) scores[i * kept + at] = all[best[at]!]!;
      await this.#breathe();
    }
    return { count: kept, items, scores };
  }

  #scoresFor(history: Int32Array, user: number): ArrayLike<number> {
    const scores = this.#scores(history, user);
    if (scores.length === this.items) return scores;
    throw new UsageError(
      `${this.name}: scores must give a number for each of ${this.items} items, got ${scores.length}`,
    );
  }

  #rankIn(scores: ArrayLike<number>, target: number): number {
    const own = scores[target]!;
    let below = 0;
    for (let item = 0; item < scores.length; item++) if (scores[item]! < own) below++;
    // The target itself is not below.
    return scores.length - below;
  }

  /** Items of the history that come before the target, each once. */
  #seenAhead(scores: ArrayLike<number>, target: number, history: Int32Array): number {
    const own = scores[target]!;
    this.#mark([target]);
    let ahead = 0;
    for (const item of history) {
      if (this.#marks[item] === this.#list) continue;
      this.#marks[item] = this.#list;
      if (!(scores[item]! < own)) ahead++;
    }
    return ahead;
  }

  /** Begins a list with these items. */
  #mark(items: ArrayLike<number>): void {
    if (this.#list === 2 ** 31 - 1) {
      this.#marks.fill(0);
      this.#list = 0;
    }
    this.#list++;
    for (let i = 0; i < items.length; i++) this.#marks[items[i]!] = this.#list;
  }

  /** Between two users, so that nothing of a call is shared across the pause. */
  async #breathe(): Promise<void> {
    this.#looked += this.items;
    if (this.#looked < breath) return;
    this.#looked = 0;
    await setImmediate();
  }
}

/** The items of a batch's inputs, as lists of histories. */
async function inputItems({ inputs, layout, extents, size }: Batch): Promise<Seen> {
  const items = inputs.item;
  if (!items) throw new UsageError("topItems: the batch has no items");
  const ids = await items.dataAs("int32");
  if (layout === "ragged") return { ids, offsets: extents };
  const length = items.shape[1]!;
  const offsets = new Int32Array(size + 1);
  for (let i = 0; i < size; i++) offsets[i + 1] = offsets[i]! + extents[i]!;
  // Without the padding, rows move towards the front only.
  for (let i = 0; i < size; i++) ids.copyWithin(offsets[i]!, i * length, i * length + extents[i]!);
  return { ids: ids.subarray(0, offsets[size]!), offsets };
}
