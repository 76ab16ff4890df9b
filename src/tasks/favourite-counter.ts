import type { EventValues } from "./values.js";

/** How often each value occurs in rows of events, kept up while the rows move on. */
export class FavouriteCounter {
  readonly #values: EventValues;
  readonly #isCounted: Uint8Array;
  /** Events that have each value. */
  readonly #counts: Int32Array;
  /** Values that each number of events has. */
  #withCount = new Int32Array(64);
  #most = 0;
  #from = 0;
  #to = 0;

  /**
   * @param values    of each row, each once
   * @param isCounted 1 for each value that counts: `[values]`
   */
  constructor(values: EventValues, isCounted: Uint8Array) {
    this.#values = values;
    this.#isCounted = isCounted;
    this.#counts = new Int32Array(isCounted.length);
  }

  /** Counts the rows `from ... to - 1`. Cheap when they overlap those before. */
  moveTo(from: number, to: number): void {
    if (from < this.#from || from >= this.#to || to < this.#to) {
      while (this.#from < this.#to) this.#remove(this.#from++);
      this.#from = from;
      this.#to = from;
    }
    while (this.#to < to) this.#add(this.#to++);
    while (this.#from < from) this.#remove(this.#from++);
  }

  /** The most frequent values of the rows: the one whose events are the most recent first. Empty without values. */
  favourites(): number[] {
    if (this.#most === 0) return [];
    const tied = this.#withCount[this.#most]!;
    const found: number[] = [];
    const { indices, begin, end } = this.#values;
    for (let row = this.#to - 1; found.length < tied && row >= this.#from; row--) {
      for (let i = begin(row); i < end(row); i++) {
        const value = indices[i]!;
        if (this.#counts[value] === this.#most && !found.includes(value)) found.push(value);
      }
    }
    return found;
  }

  #add(row: number): void {
    const { indices, begin, end } = this.#values;
    for (let i = begin(row), stop = end(row); i < stop; i++) {
      const value = indices[i]!;
      if (this.#isCounted[value] !== 1) continue;
      const count = ++this.#counts[value]!;
      if (count === this.#withCount.length) {
        const longer = new Int32Array(2 * count);
        longer.set(this.#withCount);
        this.#withCount = longer;
      }
      this.#withCount[count - 1]!--;
      this.#withCount[count]!++;
      if (count > this.#most) this.#most = count;
    }
  }

  #remove(row: number): void {
    const { indices, begin, end } = this.#values;
    for (let i = begin(row), stop = end(row); i < stop; i++) {
      const value = indices[i]!;
      if (this.#isCounted[value] !== 1) continue;
      const count = this.#counts[value]!--;
      this.#withCount[count]!--;
      this.#withCount[count - 1]!++;
      if (count === this.#most && this.#withCount[count] === 0) this.#most--;
    }
  }
}
