import type { Row, RowReader } from "./row.js";
import type { TextWindow } from "./text-window.js";

/** Finds the records of a syntax in a window of text. */
export interface RecordScanner {
  readonly window: TextWindow;
  /** The record found last. */
  readonly row: Row;
  /** Finds the next good record; false when the window has no whole one left. */
  advance(): boolean;
  /** See `RowReader`. */
  column(name: string | number): number;
  /** Once all records have been found: throws a `DataError` when none had a column that has to be. */
  checkColumns?(): void;
}

const finished: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** Reads a text file. Its blocks, and their iterator, are itself: there is one place in the file to read at. */
export class TextReader implements RowReader, Iterable<Row>, Iterator<Row, undefined> {
  readonly #current: IteratorYieldResult<Row>;

  constructor(readonly scanner: RecordScanner) {
    this.#current = { done: false, value: scanner.row };
  }

  get name(): string {
    return this.scanner.window.source.name;
  }

  get bytes(): number | undefined {
    return this.scanner.window.source.bytes;
  }

  get bytesRead(): number {
    return this.scanner.window.source.bytesRead;
  }

  column(name: string | number): number {
    return this.scanner.column(name);
  }

  async *rows(): AsyncGenerator<Iterable<Row>> {
    const { window } = this.scanner;
    for (;;) {
      yield this;
      while (this.scanner.advance()); // rows that the caller left in the block are gone
      if (window.ended) break;
      await window.more();
    }
    this.scanner.checkColumns?.();
  }

  sha256(): string | undefined {
    return this.scanner.window.source.sha256();
  }

  close(): Promise<void> {
    return this.scanner.window.source.close();
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<Row, undefined> {
    return this.scanner.advance() ? this.#current : finished;
  }
}
