import { setImmediate } from "node:timers/promises";
import type { PreparedData, Windows } from "../data/index.js";
import type { LongCall } from "../progress.js";
import { bestItems } from "./best-items.js";
import { forTrainingSpans } from "./training-spans.js";

/** What followed each item: item `i` has `items[offsets[i] ... offsets[i + 1])`, the strongest first. */
export interface Followers {
  readonly offsets: Float64Array;
  readonly items: Int32Array;
  readonly strengths: Float32Array;
}

/** What {@link findFollowers} is told. */
export interface FollowersOptions extends LongCall {
  window: number;
  /** Most followers of an item. */
  kept: number;
  /** Training events of each item. */
  events: Float64Array;
  /** Of a follower `j` of `i` that was counted so often. */
  strength(count: number, i: number, j: number): number;
}

/** Pairs counted between two breaths. */
const breath = 1 << 20;

/**
 * Counts what followed each item within a window of a user's training events. Item by item, from lists of where each one
 * is: the counts of one item are all that exists at a time. An item does not follow itself.
 */
export async function findFollowers(
  data: PreparedData,
  train: Windows,
  { window, kept, events, strength, ...longCall }: FollowersOptions,
): Promise<Followers> {
  const { starts, rows, after } = await findPlaces(data, train, events, window, longCall);
  const column = data.column("item");
  const counts = new Float64Array(data.items);
  const offsets = new Float64Array(data.items + 1);
  const found = new FollowerLists();
  let work = 0;
  for (let item = 0; item < data.items; item++) {
    const met: number[] = [];
    for (let at = starts[item]!; at < starts[item + 1]!; at++) {
      const row = rows[at]!;
      for (let next = row + 1; next <= row + after[at]!; next++) {
        const other = column[next]!;
        if (other === item) continue;
        if (counts[other] === 0) met.push(other);
        counts[other]!++;
      }
      work += after[at]! + 1;
    }
    const others = Int32Array.from(met).sort(); // of equal strengths the smaller index comes first
    const strengths = Float64Array.from(others, (other) => strength(counts[other]!, item, other));
    for (const i of bestItems(strengths, kept, () => true)) found.add(others[i]!, strengths[i]!);
    for (const other of met) counts[other] = 0;
    offsets[item + 1] = found.length;
    work += 10 * met.length + 10;
    if (work < breath && item + 1 < data.items) continue;
    work = 0;
    longCall.signal?.throwIfAborted();
    const done = item + 1;
    longCall.onProgress?.({ task: "counting pairs", done, total: data.items, unit: "rows" });
    await setImmediate();
  }
  return { offsets, ...found.take() };
}

/** Where each item is among the training events, and how many training events of its user come right after it. */
async function findPlaces(
  data: PreparedData,
  train: Windows,
  events: Float64Array,
  window: number,
  longCall: LongCall,
): Promise<{ starts: Float64Array; rows: Uint32Array; after: Uint16Array }> {
  const column = data.column("item");
  const starts = new Float64Array(data.items + 1);
  for (let item = 0; item < data.items; item++) starts[item + 1] = starts[item]! + events[item]!;
  const total = starts[data.items]!;
  const rows = new Uint32Array(total);
  const after = new Uint16Array(total);
  const ends = starts.slice(0, -1);
  await forTrainingSpans(data, train, "listing events by item", longCall, (from, to) => {
    for (let row = from; row < to; row++) {
      const at = ends[column[row]!]!++;
      rows[at] = row;
      after[at] = Math.min(window, to - 1 - row);
    }
  });
  return { starts, rows, after };
}

/** Pairs of numbers, as many as come. */
class FollowerLists {
  #items = new Int32Array(1 << 12);
  #strengths = new Float32Array(1 << 12);
  length = 0;

  add(item: number, strength: number): void {
    if (this.length === this.#items.length) this.#resize(2 * this.length);
    this.#items[this.length] = item;
    this.#strengths[this.length++] = strength;
  }

  take(): { items: Int32Array; strengths: Float32Array } {
    this.#resize(this.length);
    return { items: this.#items, strengths: this.#strengths };
  }

  #resize(length: number): void {
    const [items, strengths] = [new Int32Array(length), new Float32Array(length)];
    items.set(this.#items.subarray(0, Math.min(length, this.length)));
    strengths.set(this.#strengths.subarray(0, Math.min(length, this.length)));
    this.#items = items;
    this.#strengths = strengths;
  }
}
