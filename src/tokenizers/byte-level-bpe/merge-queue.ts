import type { PairTable } from "./pair-table.js";

/** A pair that may be merged, in some of the words. */
export interface Candidate {
  /** Its number in the table. */
  readonly pair: number;
  /** How often it came when the candidate was put in. */
  count: number;
  /** Where the words that it is in are listed: from, and up to. */
  readonly from: number;
  readonly to: number;
}

/** Candidates by count, the highest first; of equals, the pair with the smaller tokens. A binary heap. */
export class MergeQueue {
  readonly #heap: Candidate[] = [];

  constructor(readonly pairs: PairTable) {}

  push(candidate: Candidate): void {
    const heap = this.#heap;
    let at = heap.push(candidate) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(candidate, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = candidate;
  }

  /** Takes out the first whose count is current; those whose pairs have become rarer move back. */
  pop(): Candidate | undefined {
    const heap = this.#heap;
    while (heap.length > 0) {
      const first = heap[0]!;
      const count = this.pairs.counts[first.pair]!;
      if (first.count === count) {
        const last = heap.pop()!;
        if (heap.length > 0) this.#sink(last);
        return first;
      }
      first.count = count;
      this.#sink(first);
    }
    return undefined;
  }

  /** Puts a candidate in the first place, then down to where it belongs. */
  #sink(candidate: Candidate): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!this.#isBefore(heap[child]!, candidate)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = candidate;
  }

  #isBefore(a: Candidate, b: Candidate): boolean {
    if (a.count !== b.count) return a.count > b.count;
    const { left, right } = this.pairs;
    if (left[a.pair] !== left[b.pair]) return left[a.pair]! < left[b.pair]!;
    return right[a.pair]! < right[b.pair]!;
  }
}
