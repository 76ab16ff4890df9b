/**
 * How raw files are read, whatever their format: a `RowReader` gives rows, a `Row` gives fields. The formats
 * (delimited text, JSON lines, Parquet, Arrow, ...) are behind it, the mappings of datasets in front of it.
 */
import type { RowError } from "../../errors.js";
import type { Dictionary } from "../dictionary.js";

/**
 * One record while it is being read. The reader uses the same object for every record: keep nothing of it.
 *
 * A field is *absent* where the record does not have it, or has null or an empty text. Every accessor throws a `RowError`
 * when the field is there and cannot be read that way.
 */
export interface Row {
  /** Where the record stands: its first line in a text file, its row in a table; from 1. */
  readonly line: number;
  /** A text; of formats with types also a number or a boolean, as it is written. */
  text(column: number): string | undefined;
  /** A finite number, written in full: `5O`, `nan` and `1e999` are errors. */
  number(column: number): number | undefined;
  /**
   * Milliseconds since 1970 of a field that says by itself which moment it is (a `Date`, a timestamp of Arrow or Parquet),
   * whatever unit the mapping declares. Undefined for texts and bare numbers. Absent from formats without such fields.
   */
  moment?(column: number): number | undefined;
  /** Index of the field's text in the dictionary, which it enters if new. -1 when absent. */
  index(column: number, dictionary: Dictionary): number;
  /** The field as the format has it: a string, or a value of JSON, Arrow or JavaScript. For nested fields. */
  value(column: number): unknown;
  /** A `RowError` at this row. */
  error(column: number, rule: string): RowError;
}

/** A source of rows. One pass; `close` is called in any case. */
export interface RowReader {
  /** Name for messages: the file as the user gave it. */
  readonly name: string;
  /** Bytes of the file, as it lies on disk; undefined where that means nothing. */
  readonly bytes: number | undefined;
  /** Bytes consumed so far, on the scale of `bytes`. */
  readonly bytesRead: number;
  /**
   * The number to ask rows with for a column: its name, or its position from 0 in a file without a header. A path
   * (`a.b`) reaches into JSON.
   *
   * @throws DataError when the file has no such column, with those it has
   */
  column(name: string | number): number;
  /** Rows in the order of the file, in blocks, so that waiting is paid by the block. */
  rows(): AsyncIterable<Iterable<Row>>;
  /** SHA-256 of the file's bytes as they lie on disk, once all rows have been read; undefined where there is no file. */
  sha256(): string | undefined;
  /** Gives back what was opened, whether all rows were read or not. */
  close(): Promise<void>;
}

/** What a reader is opened with. */
export interface ReaderOptions {
  /** Told of each record that cannot be read; a listener that returns has decided to go on with the next. */
  onError: (error: RowError) => void;
  signal?: AbortSignal | undefined;
}
