import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import { fileFault } from "../files/file-fault.js";
import { writeAt } from "../files/write-at.js";
import type { PreparedFile } from "../manifest.js";
import {
  type ArrowColumn,
  type ArrowLayout,
  arrowLayout,
  type ColumnRegions,
} from "./arrow-layout.js";

const hashedBytes = 4 << 20;

/** A column on its way into the file. */
interface Cursor {
  readonly column: ArrowColumn;
  readonly regions: ColumnRegions;
  readonly validity: Uint8Array;
  rows: number;
  /** Bytes of values. */
  bytes: number;
}

/**
 * Writes an Arrow IPC file of one record batch, its columns in blocks, each at its place. Memory does not depend on the
 * number of rows, and the bytes of the file depend on nothing but the content.
 *
 * Blocks of different columns may come in any order and be awaited together; blocks of one column come in turn. The
 * arrays are free again when the promise settles.
 */
export class ArrowFileWriter {
  readonly #cursors: Map<string, Cursor>;

  private constructor(
    readonly path: string,
    readonly rows: number,
    readonly file: FileHandle,
    readonly layout: ArrowLayout,
    columns: readonly ArrowColumn[],
  ) {
    this.#cursors = new Map(
      columns.map((column, i) => {
        const regions = layout.columns[i]!;
        const validity = new Uint8Array(regions.validity.bytes);
        return [column.name, { column, regions, validity, rows: 0, bytes: 0 }];
      }),
    );
  }

  /**
   * @param path of a file that is not there yet
   * @throws DataError when the file cannot be made, or a column is too large for its type
   */
  static async create(
    path: string,
    columns: readonly ArrowColumn[],
    rows: number,
  ): Promise<ArrowFileWriter> {
    const layout = arrowLayout(columns, rows);
    try {
      const file = await open(path, "wx+");
      return new ArrowFileWriter(path, rows, file, layout, columns);
    } catch (error) {
      throw fileFault(error, path, "make the file");
    }
  }

  /** The next rows of a column of numbers: `Int32Array` for int32, `Float64Array` for the others. */
  async numbers(name: string, values: Int32Array | Float64Array): Promise<void> {
    const cursor = this.#cursors.get(name)!;
    const { type } = cursor.column;
    const stored = type === "int64" || type === "timestamp" ? int64s(values) : values;
    const bytes = bytesOf(stored);
    const position = cursor.regions.values.start + cursor.bytes;
    cursor.rows += values.length;
    cursor.bytes += bytes.length;
    await this.#write(bytes, position);
  }

  /**
   * The next rows of a column of texts or lists.
   *
   * @param lengths of the rows' values in bytes; -1 where there is none
   * @param bytes   the values, one after the other
   */
  async values(name: string, lengths: Float64Array, bytes: Uint8Array): Promise<void> {
    const cursor = this.#cursors.get(name)!;
    const offsets = offsetsAfter(cursor, lengths);
    const { start } = cursor.regions.offsets!;
    const width = offsets.length / lengths.length || 0;
    const offsetsAt = start + width * (cursor.rows + 1);
    const valuesAt = cursor.regions.values.start + cursor.bytes;
    cursor.rows += lengths.length;
    cursor.bytes += bytes.length;
    await this.#write(offsets, offsetsAt);
    await this.#write(bytes, valuesAt);
  }

  /**
   * Completes the file, waits until the disk has it, and closes it.
   *
   * @returns what the manifest says of it
   */
  async finish(): Promise<PreparedFile> {
    const { head, foot, footStart } = this.layout;
    for (const cursor of this.#cursors.values()) {
      this.#check(cursor);
      await this.#write(cursor.validity, cursor.regions.validity.start);
    }
    await this.#write(head, 0);
    await this.#write(foot, footStart);
    try {
      const bytes = footStart + foot.length;
      const sha256 = await sha256Of(this.file, bytes);
      await this.file.sync();
      await this.file.close();
      return { name: basename(this.path), rows: this.rows, bytes, sha256 };
    } catch (error) {
      throw fileFault(error, this.path, "write");
    }
  }

  /** Closes a file that will not be finished; after `finish` it does nothing. */
  async close(): Promise<void> {
    if (this.file.fd !== -1) await this.file.close();
  }

  /** What was announced must have come, or the file would hold zeros in its place. */
  #check({ column, rows, bytes, regions }: Cursor): void {
    if (rows === this.rows && bytes === regions.values.bytes) return;
    throw new Error(
      `${basename(this.path)}, column "${column.name}": announced ${this.rows} rows and ` +
        `${regions.values.bytes} bytes, got ${rows} and ${bytes}`,
    );
  }

  async #write(bytes: Uint8Array, position: number): Promise<void> {
    try {
      await writeAt(this.file, bytes, position);
    } catch (error) {
      throw fileFault(error, this.path, "write");
    }
  }
}

/** Whole numbers up to 2^53 as int64, two halves each: without a BigInt for every one. */
function int64s(values: Int32Array | Float64Array): Int32Array {
  const halves = new Int32Array(2 * values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    halves[2 * i] = value;
    halves[2 * i + 1] = Math.floor(value / 2 ** 32);
  }
  return halves;
}

/** The ends of the next values, as the column stores them; marks those that are there. */
function offsetsAfter(cursor: Cursor, lengths: Float64Array): Uint8Array {
  const { column, validity } = cursor;
  const unit = column.type === "int32List" ? 4 : 1;
  const ends = new Float64Array(lengths.length);
  let end = cursor.bytes / unit;
  for (let i = 0; i < lengths.length; i++) {
    const length = lengths[i]!;
    if (length > 0) end += length / unit;
    ends[i] = end;
    const row = cursor.rows + i;
    if (length >= 0 && validity.length > 0) validity[row >>> 3]! |= 1 << (row & 7);
  }
  return bytesOf(column.type === "largeUtf8" ? int64s(ends) : Int32Array.from(ends));
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array | Float64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

async function sha256Of(file: FileHandle, bytes: number): Promise<string> {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(Math.min(hashedBytes, bytes));
  for (let position = 0; position < bytes; ) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) throw new Error("the file was cut short while it was written");
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
  return hash.digest("hex");
}
