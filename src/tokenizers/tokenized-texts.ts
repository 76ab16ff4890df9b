import type { ArrowColumn } from "../data/prepared/arrow-table.js";
import { readArrowTable } from "../data/prepared/arrow-table.js";
import { mapFile, unmapFile } from "../data/prepared/map-file.js";
import { UsageError } from "../errors.js";

/** The ids of many texts, in a file that is mapped into memory: none is read before it is looked at. */
export class TokenizedTexts {
  /** Of texts. */
  readonly length: number;
  /** Of all texts together. */
  readonly tokens: number;
  readonly #path: string;
  readonly #column: Extract<ArrowColumn, { type: "bag" }>;
  #file: ArrayBuffer | undefined;

  /**
   * @internal
   * @throws DataError when the file is not one that `encodeTexts` wrote
   */
  constructor(path: string, rows: number) {
    this.#path = path;
    this.#file = mapFile(path);
    try {
      const columns = readArrowTable(path, this.#file, rows, [{ name: "ids", type: "bag" }]);
      this.#column = columns.get("ids") as Extract<ArrowColumn, { type: "bag" }>;
    } catch (error) {
      unmapFile(this.#file);
      throw error;
    }
    this.length = rows;
    this.tokens = this.#column.offsets[rows]!;
  }

  /**
   * The ids of a text: a view of the file, which is good until {@link close}.
   *
   * @throws UsageError when there is no such text, or the file is closed
   */
  ids(text: number): Int32Array {
    if (this.#file === undefined) throw new UsageError(`${this.#path}: the file is closed`);
    if (!(Number.isInteger(text) && text >= 0 && text < this.length)) {
      throw new UsageError(`${this.#path}: has texts 0 to ${this.length - 1}, got ${text}`);
    }
    const { offsets, values } = this.#column;
    return values.subarray(offsets[text], offsets[text + 1]);
  }

  /** Lets go of the file. Views of it are empty from then on. */
  close(): void {
    if (this.#file !== undefined) unmapFile(this.#file);
    this.#file = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
