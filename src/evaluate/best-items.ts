import { UsageError } from "../errors.js";

/** @throws UsageError */
export function requireCount(count: number): number {
  if (Number.isInteger(count) && count >= 1) return count;
  throw new UsageError(`topItems: count must be a whole number from 1, got ${count}`);
}

/** The items with the largest scores, of equal ones those with the smaller index; NaN is larger than any number. */
export function bestItems(
  scores: ArrayLike<number>,
  count: number,
  competes: (item: number) => boolean,
): number[] {
  const isBefore = (a: number, b: number): boolean => comesFirst(scores[a]!, a, scores[b]!, b);
  // A heap with the worst of the best on top.
  const heap: number[] = [];
  for (let item = 0; item < scores.length; item++) {
    if (!competes(item)) continue;
    if (heap.length < count) rise(heap, item, isBefore);
    else if (isBefore(item, heap[0]!)) sink(heap, item, isBefore);
  }
  return heap.sort((a, b) => (isBefore(a, b) ? -1 : 1));
}

type Order = (a: number, b: number) => boolean;

function rise(heap: number[], item: number, isBefore: Order): void {
  let at = heap.push(item) - 1;
  for (let above = (at - 1) >> 1; at > 0 && isBefore(heap[above]!, item); above = (at - 1) >> 1) {
    heap[at] = heap[above]!;
    at = above;
  }
  heap[at] = item;
}

/** Replaces the top. */
function sink(heap: number[], item: number, isBefore: Order): void {
  let at = 0;
  for (let child = 1; child < heap.length; child = 2 * at + 1) {
    if (child + 1 < heap.length && isBefore(heap[child]!, heap[child + 1]!)) child++;
    if (!isBefore(item, heap[child]!)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = item;
}

/** The order of recommendations: by score, then by index. */
export function comesFirst(score: number, item: number, other: number, otherItem: number): boolean {
  if (score === other) return item < otherItem;
  const isNaN = Number.isNaN(score);
  if (isNaN !== Number.isNaN(other)) return isNaN;
  return isNaN ? item < otherItem : score > other;
}
