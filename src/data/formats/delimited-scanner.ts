import { DataError, RowError } from "../../errors.js";
import { DelimitedRow } from "./delimited-row.js";
import { shown, shownNames } from "./shown.js";
import type { RecordScanner } from "./text-reader.js";
import type { TextWindow } from "./text-window.js";

const newline = 0x0a;
const carriageReturn = 0x0d;
const quote = 0x22;

/** What a scan gives instead of where the next record begins: the end is not there, or the record was reported. */
const unfinished = -1;
const broken = -2;

/** Takes the records of delimited text out of a window, one after the other, into `row`. */
export class DelimitedScanner implements RecordScanner {
  readonly row: DelimitedRow;
  /** Fields that every record has to have, once that is known. */
  columns: number | undefined;
  /** Fields of the last record. */
  fields = 0;
  /** Where the last record began. */
  start = 0;
  /** Told of records that are left out; before there is a listener, the first is thrown. */
  report: (error: RowError) => void = (error) => {
    throw error;
  };
  /** Ends of lines in the record being scanned. */
  #lines = 0;
  /** The field whose quote does not close, -1 if there is none; the line where the last quote opened. */
  #openField = -1;
  #openLine = 0;
  /** Whether `row.escaped` is not all zeros. */
  #escapes = false;
  readonly #first: number;
  readonly #width: number;

  constructor(
    readonly window: TextWindow,
    readonly separator: Buffer,
    readonly quotes: boolean,
  ) {
    this.row = new DelimitedRow(window);
    this.#first = separator[0]!;
    this.#width = separator.length;
  }

  column(name: string | number): number {
    const { names } = this.row;
    const column = typeof name === "string" ? names.indexOf(name) : name;
    const count = this.columns ?? Number.POSITIVE_INFINITY;
    if (Number.isInteger(column) && column >= 0 && column < count) return column;
    const file = this.window.source.name;
    const there =
      names.length > 0
        ? shownNames(names)
        : `${this.columns ?? "no"} columns without names, from 0`;
    throw new DataError(`${file}: no column ${shown(name)}; there are ${there}`);
  }

  /** Puts the next good record into `row`; false when the window has no whole one left. */
  advance(): boolean {
    const { window, row } = this;
    while (window.start < window.end) {
      const { start } = window;
      const limit = Math.min(window.end, start + window.longest + 1);
      const tooLong = limit - start > window.longest;
      const last = window.ended && !tooLong;
      this.start = start;
      this.#lines = 0;
      row.line = window.line;
      const next =
        this.quotes && window.quoted ? this.#scanQuoted(limit, last) : this.#scanPlain(limit, last);
      if (next >= 0) {
        window.start = next;
        window.line += this.#lines;
        if (this.#accepts(next)) return true;
      } else {
        if (next === unfinished && !tooLong && !last) return false;
        if (next === unfinished) this.#reportUnfinished(tooLong);
        window.skipLine();
      }
    }
    return false;
  }

  /** Scans a record in which quotes mean nothing. */
  #scanPlain(limit: number, last: boolean): number {
    const { bytes, start } = this.window;
    const { starts, ends } = this.row;
    const first = this.#first;
    const width = this.#width;
    this.#openField = -1;
    if (this.#escapes) {
      this.row.escaped.fill(0);
      this.#escapes = false;
    }
    let field = 0;
    let from = start;
    let i = start;
    for (; i < limit; i++) {
      const byte = bytes[i]!;
      if (byte === newline) break;
      if (byte === first && (width === 1 || this.#isSeparator(i, limit))) {
        if (field < ends.length) {
          starts[field] = from;
          ends[field] = i;
        }
        field++;
        i += width - 1;
        from = i + 1;
      }
    }
    if (i === limit && !last) return unfinished;
    this.#put(field, from, i > from && bytes[i - 1] === carriageReturn ? i - 1 : i, 0);
    return this.#finish(field, i, limit);
  }

  /** Scans a record whose fields may be in quotes. */
  #scanQuoted(limit: number, last: boolean): number {
    const { bytes, start } = this.window;
    const first = this.#first;
    this.#openField = -1;
    let i = start;
    for (let field = 0; ; field++) {
      if (bytes[i] === quote && i < limit) {
        i = this.#scanQuotes(field, i + 1, limit, last);
        if (i < 0) return unfinished;
      } else {
        const from = i;
        while (i < limit && bytes[i] !== first && bytes[i] !== newline) i++;
        const atEnd = i === limit || bytes[i] === newline;
        const to = atEnd && i > from && bytes[i - 1] === carriageReturn ? i - 1 : i;
        this.#put(field, from, to, 0);
      }
      if (
        bytes[i] === carriageReturn &&
        i < limit &&
        (i + 1 === limit || bytes[i + 1] === newline)
      ) {
        i++;
      }
      if (i === limit) return last ? this.#finish(field, i, limit) : unfinished;
      if (bytes[i] === newline) return this.#finish(field, i, limit);
      if (bytes[i] !== first) return this.#reportTrailing(field, i);
      i++;
    }
  }

  /** Scans a field from behind its opening quote, and gives the place behind the closing one; -1 if it is not there. */
  #scanQuotes(field: number, from: number, limit: number, last: boolean): number {
    const { bytes } = this.window;
    this.#openLine = this.row.line + this.#lines;
    let doubled = 0;
    for (let i = from; i < limit; i++) {
      const byte = bytes[i]!;
      if (byte === newline) this.#lines++;
      if (byte !== quote) continue;
      if (i + 1 < limit && bytes[i + 1] === quote) {
        doubled = 1;
        i++;
      } else if (i + 1 < limit || last) {
        this.#put(field, from, i, doubled);
        return i + 1;
      }
    }
    this.#openField = field;
    return -1;
  }

  #isSeparator(i: number, limit: number): boolean {
    if (i + this.#width > limit) return false;
    for (let k = 1; k < this.#width; k++) {
      if (this.window.bytes[i + k] !== this.separator[k]) return false;
    }
    return true;
  }

  #put(field: number, from: number, to: number, escaped: number): void {
    const { row } = this;
    if (field >= row.ends.length) return;
    row.starts[field] = from;
    row.ends[field] = to;
    row.escaped[field] = escaped;
    if (escaped === 1) this.#escapes = true;
  }

  #finish(lastField: number, at: number, limit: number): number {
    this.fields = lastField + 1;
    if (at === limit) return limit;
    this.#lines++;
    return at + 1;
  }

  /** Whether the record up to `next`, which has been scanned, is one to give out. */
  #accepts(next: number): boolean {
    const { window, row, columns, fields } = this;
    if (fields === 1 && row.ends[0] === this.start) return false; // blank
    if (!window.sound && !window.isSound(this.start, next)) {
      this.#reportUnsound(next);
      return false;
    }
    if (columns !== undefined && fields !== columns) {
      this.#report(undefined, `expected ${columns} fields`, `${fields}`);
      return false;
    }
    if (fields > row.ends.length) {
      // The first record of a wide file: again, with room for all of it.
      row.reserve(fields);
      window.start = this.start;
      window.line = row.line;
      return false;
    }
    return true;
  }

  #reportUnfinished(tooLong: boolean): void {
    const most = `${this.window.longest} bytes`;
    if (this.#openField < 0) {
      this.#report(undefined, `expected a record of at most ${most}`, "more");
      return;
    }
    this.row.line = this.#openLine;
    const rule = `expected a closing quote${tooLong ? ` within ${most}` : ""}`;
    this.#report(this.#openField, rule, tooLong ? "none" : "the end of the file");
  }

  #reportTrailing(field: number, at: number): number {
    const { row, window } = this;
    const line = row.line + this.#lines;
    const byte = window.bytes[at]!;
    const got = byte < 0x80 ? shown(String.fromCharCode(byte)) : `byte 0x${byte.toString(16)}`;
    row.line = this.#openLine;
    const rule = "expected a separator or the end of the line after a closing quote";
    this.#report(field, rule, line === row.line ? got : `${got} in line ${line}`);
    return broken;
  }

  #reportUnsound(next: number): void {
    const { window, row } = this;
    const at = window.firstUnsound(this.start, next);
    let field = 0;
    while (field < this.fields - 1 && field < row.ends.length && row.ends[field]! < at) field++;
    const byte = window.bytes[at]!;
    const rule = byte === 0 ? "expected text" : "expected UTF-8";
    const got = byte === 0 ? "a NUL byte" : `byte 0x${byte.toString(16)}`;
    this.#report(field, rule, got);
  }

  #report(field: number | undefined, rule: string, got: string): void {
    const { window, row } = this;
    const column = field === undefined ? undefined : row.nameOf(field);
    this.report(new RowError(window.source.name, row.line, column, rule, got));
  }
}
