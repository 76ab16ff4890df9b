/** Typed arrays that grow. */

export class Int32List {
  #array = new Int32Array(1 << 10);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#array.length) this.#array = grown(this.#array, 2 * this.#length);
    this.#array[this.#length++] = value;
  }

  pushAll(values: Int32Array): void {
    const length = this.#length + values.length;
    if (length > this.#array.length) this.#array = grown(this.#array, 2 * length);
    this.#array.set(values, this.#length);
    this.#length = length;
  }

  /** A copy as long as the list. */
  toArray(): Int32Array {
    return this.#array.slice(0, this.#length);
  }
}

/** How often each index came. */
export class Counts {
  #array = new Float64Array(1 << 10);

  add(index: number): void {
    if (index >= this.#array.length) this.#array = grown(this.#array, 2 * (index + 1));
    this.#array[index]!++;
  }

  /** Counts the first `length` indices of a column and returns how many were -1. */
  addAll(indices: Int32Array, length: number, size: number): number {
    if (size > this.#array.length) this.#array = grown(this.#array, 2 * size);
    const counts = this.#array;
    let missing = 0;
    for (let i = 0; i < length; i++) {
      const index = indices[i]!;
      if (index < 0) missing++;
      else counts[index]!++;
    }
    return missing;
  }

  /** A copy of the first `size` counts. */
  toArray(size: number): Float64Array {
    if (size > this.#array.length) this.#array = grown(this.#array, size);
    return this.#array.slice(0, size);
  }
}

function grown<Kind extends Int32Array | Float64Array>(array: Kind, length: number): Kind {
  const larger = new (array.constructor as new (length: number) => Kind)(length);
  larger.set(array);
  return larger;
}
