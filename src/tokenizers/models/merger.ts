import type { MergeTable } from "./merge-table.js";

/** A rank and a position in one number: the smaller comes first, of one rank the leftmost. */
const positions = 2 ** 31;

/**
 * Merges the neighbours with the lowest rank until there are none left, in n log n steps.
 *
 * The symbols are a linked list over their first positions. The queue may hold pairs of the past: a pair counts only if its
 * parts still have that rank.
 */
export class Merger {
  #next = new Int32Array(64);
  #previous = new Int32Array(64);
  #queue = new Float64Array(192);
  #queued = 0;

  constructor(readonly merges: MergeTable) {}

  /** @param symbols ids, which are replaced; returns how many are left, at the start */
  merge(symbols: Int32Array, count: number): number {
    this.#reset(count);
    const next = this.#next;
    const previous = this.#previous;
    for (let i = 0; i + 1 < count; i++) this.#consider(symbols, i, i + 1);
    while (this.#queued > 0) {
      const entry = this.#pop();
      const rank = Math.floor(entry / positions);
      const left = entry - rank * positions;
      const right = next[left]!;
      // A part that was merged into another has no id.
      if (right === -1 || symbols[left] === -1) continue;
      if (this.merges.rank(symbols[left]!, symbols[right]!) !== rank) continue;
      symbols[left] = this.merges.merged(symbols[left]!, symbols[right]!);
      symbols[right] = -1;
      const after = next[right]!;
      next[left] = after;
      if (after !== -1) {
        previous[after] = left;
        this.#consider(symbols, left, after);
      }
      if (previous[left] !== -1) this.#consider(symbols, previous[left]!, left);
    }
    let left = 0;
    for (let i = 0; i < count; i++) if (symbols[i] !== -1) symbols[left++] = symbols[i]!;
    return left;
  }

  #reset(count: number): void {
    if (count > this.#next.length) {
      const capacity = 2 * count;
      this.#next = new Int32Array(capacity);
      this.#previous = new Int32Array(capacity);
      // Every merge takes a pair away and adds two at most.
      this.#queue = new Float64Array(3 * capacity);
    }
    this.#queued = 0;
    for (let i = 0; i < count; i++) {
      this.#next[i] = i + 1 < count ? i + 1 : -1;
      this.#previous[i] = i - 1;
    }
  }

  #consider(symbols: Int32Array, left: number, right: number): void {
    const rank = this.merges.rank(symbols[left]!, symbols[right]!);
    if (rank >= 0) this.#push(rank * positions + left);
  }

  #push(entry: number): void {
    const queue = this.#queue;
    let at = this.#queued++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (queue[parent]! <= entry) break;
      queue[at] = queue[parent]!;
      at = parent;
    }
    queue[at] = entry;
  }

  #pop(): number {
    const queue = this.#queue;
    const first = queue[0]!;
    const last = queue[--this.#queued]!;
    const count = this.#queued;
    let at = 0;
    for (let child = 1; child < count; child = 2 * at + 1) {
      if (child + 1 < count && queue[child + 1]! < queue[child]!) child++;
      if (queue[child]! >= last) break;
      queue[at] = queue[child]!;
      at = child;
    }
    queue[at] = last;
    return first;
  }
}
