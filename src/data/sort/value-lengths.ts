const shift = 16;
const pieceRows = 1 << shift;
const groupRows = 16;

/**
 * Lengths of values that lie one after the other, and so their places: 4.5 bytes a value, in pieces that are never copied.
 */
export class ValueLengths {
  #rows = 0;
  #bytes = 0;
  readonly #lengths: Uint32Array[] = [];
  /** Where every sixteenth value starts. */
  readonly #starts: Float64Array[] = [];

  get rows(): number {
    return this.#rows;
  }

  /** Of all values. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param length below 2^32 */
  append(length: number): void {
    const at = this.#rows % pieceRows;
    if (at === 0) {
      this.#lengths.push(new Uint32Array(pieceRows));
      this.#starts.push(new Float64Array(pieceRows / groupRows));
    }
    if (at % groupRows === 0) this.#starts.at(-1)![at / groupRows] = this.#bytes;
    this.#lengths.at(-1)![at] = length;
    this.#rows++;
    this.#bytes += length;
  }

  length(row: number): number {
    return this.#lengths[Math.floor(row / pieceRows)]![row % pieceRows]!;
  }

  /** Where a value starts. */
  start(row: number): number {
    const piece = Math.floor(row / pieceRows);
    const at = row % pieceRows;
    const first = at - (at % groupRows);
    let start = this.#starts[piece]![first / groupRows]!;
    const lengths = this.#lengths[piece]!;
    for (let i = first; i < at; i++) start += lengths[i]!;
    return start;
  }
}
