import { isUtf8 } from "node:buffer";
import { DataError } from "../../errors.js";
import type { ByteSource } from "./byte-source.js";
import { firstInvalidByte } from "./utf8.js";

export type Encoding = "utf8" | "latin1";

/** Records longer than this are broken files. */
export const longestLine = 8 << 20; // bytes

const newline = 0x0a;
const quote = 0x22;
const byteOrderMark = Buffer.from("\ufeff");

/**
 * The part of a text file that is in memory: whole lines and the beginning of the next. A reader takes records from
 * `start` up to `end`, moves `start` and `line` on, and asks for more when the last record is not all there.
 */
export class TextWindow {
  bytes = Buffer.alloc(0);
  /** Where the next record begins. */
  start = 0;
  /** Where the bytes end that are there. */
  end = 0;
  /** Number of the line at `start`, from 1. */
  line = 1;
  /** Nothing follows `end`. */
  ended = false;

  /** Whether every whole line is in the encoding and without NUL; if not, each record is to be looked at. */
  sound = true;
  /** Whether any `"` is there. */
  quoted = false;
  /** Inside a line that is too long, whose end has not been met. */
  #skipping = false;

  private constructor(
    readonly source: ByteSource,
    readonly encoding: Encoding,
    /** Of a record, in bytes. */
    readonly longest: number,
  ) {}

  /** Opens at the first byte after a byte order mark, if there is one. */
  static async open(source: ByteSource, encoding: Encoding, longest = longestLine) {
    const window = new TextWindow(source, encoding, longest);
    while (!window.ended && window.end < byteOrderMark.length) await window.more();
    const head = window.bytes.subarray(0, Math.min(byteOrderMark.length, window.end));
    if (byteOrderMark.equals(head)) window.start = head.length;
    return window;
  }

  /** Adds what follows: a block, or as much again as is still here, so that a long record is not scanned too often. */
  async more(): Promise<void> {
    const wanted = this.end - this.start;
    let added = 0;
    do {
      const block = await this.#next();
      if (block === undefined) this.ended = true;
      else {
        this.#append(block);
        added += block.length;
      }
    } while (!this.ended && added < wanted);
    if (this.#skipping) this.skipLine();
    this.#look();
  }

  /** Moves past the end of the line at `start`, which may be further on in the file. */
  skipLine(): void {
    const at = this.bytes.indexOf(newline, this.start);
    this.#skipping = at < 0 || at >= this.end;
    this.start = this.#skipping ? this.end : at + 1;
    if (!this.#skipping) this.line++;
  }

  /** Whether a range is in the encoding and without NUL. */
  isSound(start: number, end: number): boolean {
    const range = this.bytes.subarray(start, end);
    return !range.includes(0) && (this.encoding === "latin1" || isUtf8(range));
  }

  /** Where the first byte of an unsound range stands that is NUL or not in the encoding. */
  firstUnsound(start: number, end: number): number {
    const nul = this.bytes.indexOf(0, start);
    const invalid = this.encoding === "latin1" ? -1 : firstInvalidByte(this.bytes, start, end);
    return nul < 0 || nul >= end || (invalid >= 0 && invalid < nul) ? invalid : nul;
  }

  text(start: number, end: number): string {
    return this.bytes.toString(this.encoding, start, end);
  }

  async #next(): Promise<Uint8Array | undefined> {
    try {
      return await this.source.next();
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      throw new DataError(`${error.message}, in line ${this.line}`, { cause: error });
    }
  }

  #append(block: Uint8Array): void {
    const kept = this.end - this.start;
    if (kept + block.length > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(2 * (kept + block.length));
      this.bytes.copy(grown, 0, this.start, this.end);
      this.bytes = grown;
    } else {
      this.bytes.copyWithin(0, this.start, this.end);
    }
    this.bytes.set(block, kept);
    this.start = 0;
    this.end = kept + block.length;
  }

  #look(): void {
    const lines = this.bytes.subarray(this.start, this.end);
    const whole = this.ended ? lines.length : lines.lastIndexOf(newline) + 1;
    this.sound = this.isSound(this.start, this.start + whole);
    this.quoted = lines.includes(quote);
  }
}
