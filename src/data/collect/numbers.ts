import { missingIndex } from "../feature.js";

const scanned = 16;

/** Distinct numbers, numbered from 0 in the order they came. */
export class Numbers {
  readonly #values: number[] = [];
  readonly #indices = new Map<number, number>();

  get size(): number {
    return this.#values.length;
  }

  get values(): readonly number[] {
    return this.#values;
  }

  /** Index of a number; -1 if it is not there. */
  find(value: number): number {
    // Ratings have a handful of values: passing over them is faster than hashing a double.
    const few = Math.min(this.#values.length, scanned);
    for (let i = 0; i < few; i++) if (this.#values[i] === value) return i;
    return few < scanned ? missingIndex : (this.#indices.get(value) ?? missingIndex);
  }

  /** Takes a number that is not there. */
  enter(value: number): number {
    const index = this.#values.push(value) - 1;
    this.#indices.set(value, index);
    return index;
  }

  /** Forgets the numbers that came last, until `size` are left. */
  truncate(size: number): void {
    while (this.#values.length > size) this.#indices.delete(this.#values.pop()!);
  }
}
