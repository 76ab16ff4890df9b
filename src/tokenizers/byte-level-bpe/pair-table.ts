/** Pairs of tokens that stand side by side, numbered from 0 as they come, and how often each does. */
export class PairTable {
  /** Pairs so far. */
  size = 0;
  /** By number. */
  left = new Int32Array(1 << 12);
  right = new Int32Array(1 << 12);
  counts = new Float64Array(1 << 12);
  /** Numbers plus 1 by hash, 0 where there is none; at most half are taken. */
  #slots = new Int32Array(1 << 13);

  /** The pair's number. */
  numberOf(left: number, right: number): number {
    const mask = this.#slots.length - 1;
    let slot = hashOf(left, right) & mask;
    for (;;) {
      const number = this.#slots[slot]! - 1;
      if (number < 0) break;
      if (this.left[number] === left && this.right[number] === right) return number;
      slot = (slot + 1) & mask;
    }
    if (this.size === this.left.length) {
      this.#grow();
      return this.numberOf(left, right);
    }
    const number = this.size++;
    this.#slots[slot] = number + 1;
    this.left[number] = left;
    this.right[number] = right;
    return number;
  }

  #grow(): void {
    const length = 2 * this.size;
    const [left, right, counts] = [this.left, this.right, this.counts];
    (this.left = new Int32Array(length)).set(left);
    (this.right = new Int32Array(length)).set(right);
    (this.counts = new Float64Array(length)).set(counts);
    this.#slots = new Int32Array(2 * length);
    const mask = this.#slots.length - 1;
    for (let number = 0; number < this.size; number++) {
      let slot = hashOf(left[number]!, right[number]!) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = number + 1;
    }
  }
}

/** The finalizer of MurmurHash3. */
function hashOf(left: number, right: number): number {
  let hash = Math.imul(left, 0x9e37_79b1) ^ right;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return hash ^ (hash >>> 16);
}
