import { DataError } from "../errors.js";

const emptySlot = -1;
/** An id longer than this is a broken file. */
export const longestKey = 65_535; // bytes of UTF-8

/**
 * Distinct names, numbered from 0 in the order they came. They are kept as UTF-8 in one buffer and found by an open hash
 * table, so that tens of millions of ids cost their bytes and no objects.
 */
export class Dictionary {
  #bytes = new Uint8Array(1 << 16);
  /** Where each name ends in `#bytes`; name i starts where the one before ends. */
  #ends = new Float64Array(1 << 10);
  #hashes = new Int32Array(1 << 10);
  #slots = new Int32Array(1 << 11).fill(emptySlot);
  #size = 0;
  /** The index given last. */
  #last = 0;
  readonly #scratch = Buffer.alloc(3 * longestKey);

  get size(): number {
    return this.#size;
  }

  /** Index of a name; it enters if new. */
  index(name: string): number {
    if (name.length > longestKey) throw new DataError(`an id has more than ${longestKey} bytes`);
    return this.indexOfBytes(this.#scratch, 0, this.#scratch.write(name));
  }

  /** Index of the name that stands in `bytes` from `start` to `end` as UTF-8; it enters if new. */
  indexOfBytes(bytes: Uint8Array, start: number, end: number): number {
    const last = this.#last; // tables often have a user's rows together
    if (last < this.#size && this.#equals(last, bytes, start, end)) return last;
    const hash = hashOf(bytes, start, end);
    const slot = this.#slotOf(hash, bytes, start, end);
    const found = this.#slots[slot]!;
    this.#last = found === emptySlot ? this.#enter(slot, hash, bytes, start, end) : found;
    return this.#last;
  }

  /** Index of a name, -1 if it is not there. */
  find(name: string): number {
    if (name.length > longestKey) return emptySlot;
    const end = this.#scratch.write(name);
    return this.#slots[this.#slotOf(hashOf(this.#scratch, 0, end), this.#scratch, 0, end)]!;
  }

  name(index: number): string {
    const { buffer, byteOffset } = this.#bytes;
    const start = this.#startOf(index);
    return Buffer.from(buffer, byteOffset + start, this.#ends[index]! - start).toString();
  }

  /** Forgets the names that came last, until `size` are left: a record that turned out bad takes its names back. */
  truncate(size: number): void {
    const mask = this.#slots.length - 1;
    while (this.#size > size) {
      const index = this.#size - 1;
      let slot = this.#hashes[index]! & mask;
      while (this.#slots[slot] !== index) slot = (slot + 1) & mask;
      // Nothing came after it, so no probe passes over its slot.
      this.#slots[slot] = emptySlot;
      this.#size = index;
    }
  }

  *names(): Generator<string> {
    for (let i = 0; i < this.#size; i++) yield this.name(i);
  }

  #startOf(index: number): number {
    return index === 0 ? 0 : this.#ends[index - 1]!;
  }

  /** Where the name is in the table, or would go. */
  #slotOf(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const index = this.#slots[slot]!;
      if (index === emptySlot) return slot;
      if (this.#hashes[index] === hash && this.#equals(index, bytes, start, end)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #equals(index: number, bytes: Uint8Array, start: number, end: number): boolean {
    const from = this.#startOf(index);
    if (this.#ends[index]! - from !== end - start) return false;
    for (let i = start, j = from; i < end; i++, j++) {
      if (bytes[i] !== this.#bytes[j]) return false;
    }
    return true;
  }

  #enter(slot: number, hash: number, bytes: Uint8Array, start: number, end: number): number {
    if (end - start > longestKey) throw new DataError(`an id has more than ${longestKey} bytes`);
    const index = this.#size++;
    const from = this.#startOf(index);
    const to = from + (end - start);
    if (to > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(2 * this.#bytes.length, to));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    for (let i = start, j = from; i < end; i++, j++) this.#bytes[j] = bytes[i]!;
    if (index === this.#ends.length) {
      const ends = new Float64Array(2 * index);
      ends.set(this.#ends);
      this.#ends = ends;
      const hashes = new Int32Array(2 * index);
      hashes.set(this.#hashes);
      this.#hashes = hashes;
    }
    this.#ends[index] = to;
    this.#hashes[index] = hash;
    this.#slots[slot] = index;
    if (2 * this.#size > this.#slots.length) this.#rehash();
    return index;
  }

  #rehash(): void {
    const slots = new Int32Array(2 * this.#slots.length).fill(emptySlot);
    const mask = slots.length - 1;
    for (let i = 0; i < this.#size; i++) {
      let slot = this.#hashes[i]! & mask;
      while (slots[slot] !== emptySlot) slot = (slot + 1) & mask;
      slots[slot] = i;
    }
    this.#slots = slots;
  }
}

/** FNV-1a with the finalizer of MurmurHash3. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
