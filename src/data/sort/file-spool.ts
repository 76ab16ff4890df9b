import { readSync } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { DataError } from "../../errors.js";
import { fileFault } from "../files/file-fault.js";
import { writeAt } from "../files/write-at.js";
import type { Spool } from "./spool.js";
import { ValueLengths } from "./value-lengths.js";

/** A longer text or bag is a broken file. */
export const longestValue = 64 * 2 ** 20; // bytes
const pageBytes = 1 << 20;
/** Values closer to each other than this are read in one go. */
const gapBytes = 8 << 10;
const spanBytes = 1 << 20;
/** A shorter read costs less than handing it to another thread. */
const syncBytes = 128 << 10;
const turnMs = 10;

/**
 * A spool in a file, which it makes and at the end removes. In memory it keeps 4.5 bytes a row, and what was appended
 * since the last `flush`.
 *
 * @param path of a file that is not there yet
 * @throws DataError when the file cannot be made or, later, written, and on values longer than 64 MiB
 */
export async function fileSpool(path: string, kind: Spool["kind"]): Promise<Spool> {
  try {
    return new FileSpool(path, kind, await open(path, "wx+"));
  } catch (error) {
    throw fileFault(error, path, "make a temporary file");
  }
}

class FileSpool implements Spool {
  readonly #values = new ValueLengths();
  #page = Buffer.allocUnsafe(pageBytes);
  #used = 0;
  /** Pages that are full and wait for `flush`. */
  #full: Buffer[] = [];
  #written = 0;
  #result = Buffer.allocUnsafe(0);
  readonly #span = Buffer.allocUnsafe(spanBytes);

  constructor(
    readonly path: string,
    readonly kind: Spool["kind"],
    readonly file: FileHandle,
  ) {}

  get rows(): number {
    return this.#values.rows;
  }

  get bytes(): number {
    return this.#values.bytes;
  }

  append(value: string | readonly number[]): void {
    const length = typeof value === "string" ? this.#addText(value) : this.#addBag(value);
    this.#used += length;
    this.#values.append(length);
  }

  async flush(): Promise<void> {
    const pages = this.#full;
    this.#full = [];
    try {
      for (const page of pages) {
        await writeAt(this.file, page, this.#written);
        this.#written += page.length;
      }
    } catch (error) {
      throw fileFault(error, this.path, "write a temporary file");
    }
  }

  lengths(rows: Float64Array, count: number, into: Float64Array): void {
    for (let i = 0; i < count; i++) into[i] = this.#values.length(rows[i]!);
  }

  async read(rows: Float64Array, count: number): Promise<Buffer> {
    this.#turnPage(0);
    await this.flush();
    const places = placesOf(this.#values, rows, count);
    const total = places[count]!;
    if (total > this.#result.length) this.#result = Buffer.allocUnsafe(total);
    await this.#gather(rows, risingOrder(rows, count), places);
    return this.#result.subarray(0, total);
  }

  async close(): Promise<void> {
    await this.file.close();
    await rm(this.path, { force: true });
  }

  #addText(text: string): number {
    // A code unit takes at most three bytes; counting them is for texts that would need a page of their own.
    const room = 3 * text.length > pageBytes ? Buffer.byteLength(text) : 3 * text.length;
    this.#turnPage(this.#checked(room));
    return this.#page.write(text, this.#used);
  }

  #addBag(bag: readonly number[]): number {
    const length = this.#checked(4 * bag.length);
    this.#turnPage(length);
    for (let i = 0; i < bag.length; i++) this.#page.writeInt32LE(bag[i]!, this.#used + 4 * i);
    return length;
  }

  #checked(length: number): number {
    if (length <= longestValue) return length;
    throw new DataError(`a ${this.kind} has more than ${longestValue / 2 ** 20} MiB`);
  }

  /** Makes room for so many bytes; 0 lays the page aside whatever is free. */
  #turnPage(room: number): void {
    if (room > 0 && this.#used + room <= this.#page.length) return;
    if (this.#used > 0) this.#full.push(this.#page.subarray(0, this.#used));
    this.#page = Buffer.allocUnsafe(Math.max(room, pageBytes));
    this.#used = 0;
  }

  /** Reads the rows in the order they lie in the file, neighbours together, each to its place in the result. */
  async #gather(rows: Float64Array, order: Uint32Array, places: Float64Array): Promise<void> {
    let turn = performance.now();
    for (let first = 0; first < order.length; ) {
      const start = this.#values.start(rows[order[first]!]!);
      const { last, end } = this.#spanFrom(rows, order, first, start);
      const direct = last === first + 1;
      const to = places[order[first]!]!;
      const bytes = direct ? this.#result.subarray(to, to + end - start) : this.#span;
      await this.#readInto(bytes.subarray(0, end - start), start);
      for (let k = first; !direct && k < last; k++) {
        const row = rows[order[k]!]!;
        const from = this.#values.start(row) - start;
        bytes.copy(this.#result, places[order[k]!]!, from, from + this.#values.length(row));
      }
      first = last;
      if (performance.now() - turn > turnMs) {
        await setImmediate();
        turn = performance.now();
      }
    }
  }

  /** How far the values follow each other closely enough to be read together. */
  #spanFrom(rows: Float64Array, order: Uint32Array, first: number, start: number) {
    let end = start + this.#values.length(rows[order[first]!]!);
    let last = first + 1;
    for (; last < order.length; last++) {
      const row = rows[order[last]!]!;
      const from = this.#values.start(row);
      const to = from + this.#values.length(row);
      if (from > end + gapBytes || to > start + spanBytes) break;
      end = Math.max(end, to);
    }
    return { last, end };
  }

  async #readInto(bytes: Buffer, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const left = bytes.length - done;
      const read =
        left <= syncBytes
          ? readSync(this.file.fd, bytes, done, left, position + done)
          : (await this.file.read(bytes, done, left, position + done)).bytesRead;
      if (read === 0) throw new DataError(`${this.path}: the temporary file was cut short`);
      done += read;
    }
  }
}

/** Where each value starts in the result, and where the last ends. */
function placesOf(values: ValueLengths, rows: Float64Array, count: number): Float64Array {
  const places = new Float64Array(count + 1);
  for (let i = 0; i < count; i++) places[i + 1] = places[i]! + values.length(rows[i]!);
  return places;
}

/** Places of the rows from the least row to the greatest. */
function risingOrder(rows: Float64Array, count: number): Uint32Array {
  const order = new Uint32Array(count);
  let rising = true;
  for (let i = 0; i < count; i++) {
    order[i] = i;
    if (i > 0 && rows[i]! < rows[i - 1]!) rising = false;
  }
  if (rising) return order;
  // Row and place in one number: 2^20 rows of 2^33 fit.
  const places = 2 ** (32 - Math.clz32(count));
  const keys = new Float64Array(count);
  for (let i = 0; i < count; i++) keys[i] = rows[i]! * places + i;
  keys.sort();
  for (let i = 0; i < count; i++) order[i] = keys[i]! % places;
  return order;
}
