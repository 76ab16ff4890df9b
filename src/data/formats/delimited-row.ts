import { RowError } from "../../errors.js";
import { type Dictionary, longestKey } from "../dictionary.js";
import { parseDecimal, parseDecimalBytes } from "./decimal.js";
import type { Row } from "./row.js";
import { shown } from "./shown.js";
import type { TextWindow } from "./text-window.js";

/** The record that a `DelimitedScanner` has just found: ranges of bytes in its window. */
export class DelimitedRow implements Row {
  line = 0;
  /** Where each field stands, without quotes around it. */
  starts = new Int32Array(64);
  ends = new Int32Array(64);
  /** 1 where a quoted field has `""` in it. */
  escaped = new Uint8Array(64);
  names: readonly string[] = [];
  #scratch = Buffer.alloc(256);

  constructor(readonly window: TextWindow) {}

  reserve(fields: number): void {
    this.starts = new Int32Array(fields);
    this.ends = new Int32Array(fields);
    this.escaped = new Uint8Array(fields);
  }

  text(column: number): string | undefined {
    const start = this.starts[column]!;
    const end = this.ends[column]!;
    if (start === end) return undefined;
    const text = this.window.text(start, end);
    return this.escaped[column] === 1 ? text.replaceAll('""', '"') : text;
  }

  number(column: number): number | undefined {
    const start = this.starts[column]!;
    const end = this.ends[column]!;
    if (start === end) return undefined;
    const number =
      this.escaped[column] === 0
        ? parseDecimalBytes(this.window.bytes, start, end)
        : parseDecimal(this.text(column)!);
    if (number === undefined) throw this.error(column, "expected a number");
    return number;
  }

  index(column: number, dictionary: Dictionary): number {
    const start = this.starts[column]!;
    const end = this.ends[column]!;
    if (start === end) return -1;
    if (end - start > longestKey) {
      throw this.error(column, `expected an id of at most ${longestKey} bytes`);
    }
    const { bytes } = this.window;
    return this.escaped[column] === 0 &&
      (this.window.encoding === "utf8" || isAscii(bytes, start, end))
      ? dictionary.indexOfBytes(bytes, start, end)
      : this.#indexOfText(column, dictionary);
  }

  value(column: number): string | undefined {
    return this.text(column);
  }

  error(column: number, rule: string): RowError {
    const text = this.text(column);
    const got = text === undefined ? "nothing" : shown(text);
    return new RowError(this.window.source.name, this.line, this.nameOf(column), rule, got);
  }

  /** A column as messages name it: from 1 where it has no name. */
  nameOf(column: number): string {
    return this.names[column] || `${column + 1}`;
  }

  #indexOfText(column: number, dictionary: Dictionary): number {
    const text = this.text(column)!;
    if (this.#scratch.length < 3 * text.length) this.#scratch = Buffer.alloc(6 * text.length);
    const end = this.#scratch.write(text);
    if (end > longestKey) throw this.error(column, `expected an id of at most ${longestKey} bytes`);
    return dictionary.indexOfBytes(this.#scratch, 0, end);
  }
}

function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i]! >= 0x80) return false;
  return true;
}
