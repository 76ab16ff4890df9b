/** Numbers of a slot: both ids, the rank, and the id of what they make. */
const width = 4;

/**
 * The merges of byte-pair encoding by the ids of their parts, in one array: a quarter of a million of them take 8 MB, and a
 * look-up makes no garbage.
 */
export class MergeTable {
  readonly #slots: Int32Array;
  readonly #mask: number;

  /** @param most merges that will be set */
  constructor(most: number) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(8, 2 * most)));
    this.#slots = new Int32Array(width * size).fill(-1);
    this.#mask = size - 1;
  }

  /** Of two merges of the same parts, the later one counts. */
  set(left: number, right: number, rank: number, merged: number): void {
    this.#slots.set([left, right, rank, merged], this.#place(left, right));
  }

  /** Lower ranks are merged first; -1 where there is no such merge. */
  rank(left: number, right: number): number {
    return this.#slots[this.#place(left, right) + 2]!;
  }

  /** Of parts that have a merge. */
  merged(left: number, right: number): number {
    return this.#slots[this.#place(left, right) + 3]!;
  }

  /** Where the merge is, or would be. */
  #place(left: number, right: number): number {
    const slots = this.#slots;
    let slot = Math.imul(Math.imul(left, 0x9e3779b1) ^ right, 0x85ebca6b);
    slot = (slot ^ (slot >>> 15)) & this.#mask;
    for (;;) {
      const at = width * slot;
      if (slots[at] === left && slots[at + 1] === right) return at;
      if (slots[at] === -1) return at;
      slot = (slot + 1) & this.#mask;
    }
  }
}
