import { ConfigError, DataError } from "../../errors.js";
import { ByteSource } from "./byte-source.js";
import { DelimitedScanner } from "./delimited-scanner.js";
import type { ReaderOptions, Row, RowReader } from "./row.js";
import { shown } from "./shown.js";
import { type Encoding, TextWindow } from "./text-window.js";

export interface DelimitedFormat {
  /** Between fields: `,`, a tab, `::`. Default: `,`. */
  separator?: string | undefined;
  /** Names of the columns: in the first line (`true`), none (`false`, columns go by position), or these. Default: `true`. */
  header?: boolean | readonly string[] | undefined;
  /**
   * Whether a field that begins with `"` goes on to the next `"`, over separators and ends of lines, with `""` for a
   * quote. Default: when the separator is one byte; a longer one cannot have it.
   */
  quotes?: boolean | undefined;
  /** Default: UTF-8, and nothing else. */
  encoding?: Encoding | undefined;
  /** Most bytes of a record. Default: 8 MiB. */
  longestLine?: number | undefined;
  /** Bytes read at once. Default: 256 KiB. */
  blockBytes?: number | undefined;
}

const finished: IteratorReturnResult<undefined> = { done: true, value: undefined };

/**
 * Reads a file of fields between separators, as it is or in gzip. Blank lines are passed over, lines end with `\n` or
 * `\r\n`, spaces belong to the field (but may stand around a number).
 *
 * A record with a quote that does not close, with something after a closing quote, or too long, is an error; the next
 * is then looked for in the line after the one where it began.
 *
 * @throws ConfigError for a separator that cannot be one
 * @throws DataError when the file cannot be read, has no header, or has two columns of a name
 * @see RFC 4180
 */
export async function openDelimited(
  path: string,
  format: DelimitedFormat,
  options: ReaderOptions,
): Promise<RowReader> {
  const { encoding = "utf8", header = true, longestLine } = format;
  const separator = Buffer.from(format.separator ?? ",", encoding);
  const { quotes = separator.length === 1 } = format;
  checkSeparator(separator, quotes);
  const source = await ByteSource.open(path, { ...options, blockBytes: format.blockBytes });
  try {
    const window = await TextWindow.open(source, encoding, longestLine);
    const reader = new DelimitedReader(new DelimitedScanner(window, separator, quotes));
    await reader.readHeader(header);
    reader.scanner.report = options.onError;
    return reader;
  } catch (error) {
    await source.close();
    throw error;
  }
}

function checkSeparator(separator: Buffer, quotes: boolean): void {
  const text = separator.toString();
  if (!/^[^\r\n"\0]+$/.test(text)) {
    throw new ConfigError(
      `separator: expected text without quotes or ends of lines, got ${shown(text)}`,
    );
  }
  if (quotes && separator.length > 1) {
    throw new ConfigError(`separator: quotes need one of a single byte, got ${shown(text)}`);
  }
}

/** Its own blocks, and their iterator: there is only one place in the file to read at. */
class DelimitedReader implements RowReader, Iterable<Row>, Iterator<Row, undefined> {
  readonly #current: IteratorYieldResult<Row>;

  constructor(readonly scanner: DelimitedScanner) {
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

  sha256(): string | undefined {
    return this.scanner.window.source.sha256();
  }

  close(): Promise<void> {
    return this.scanner.window.source.close();
  }

  column(name: string | number): number {
    const { columns, row } = this.scanner;
    const column = typeof name === "string" ? row.names.indexOf(name) : name;
    if (Number.isInteger(column) && column >= 0 && column < (columns ?? Infinity)) return column;
    const known = row.names.map(shown).join(", ");
    const there = known === "" ? `${columns} columns without names, from 0` : known;
    throw new DataError(`${this.name}: no column ${shown(name)}; there are ${there}`);
  }

  async *rows(): AsyncGenerator<Iterable<Row>> {
    const { window } = this.scanner;
    for (;;) {
      yield this;
      while (this.scanner.advance()); // rows that the caller left in the block are gone
      if (window.ended) return;
      await window.more();
    }
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<Row, undefined> {
    return this.scanner.advance() ? this.#current : finished;
  }

  async readHeader(header: boolean | readonly string[]): Promise<void> {
    if (typeof header === "object") return this.#setNames(header);
    const { window, row } = this.scanner;
    while (!this.scanner.advance()) {
      if (!window.ended) await window.more();
      else if (!header) return;
      else
        throw new DataError(
          `${this.name}: expected a line that names the columns, got an empty file`,
        );
    }
    const { fields, start } = this.scanner;
    if (header) return this.#setNames(Array.from({ length: fields }, (_, i) => row.text(i) ?? ""));
    this.scanner.columns = fields;
    window.start = start;
    window.line = row.line;
  }

  #setNames(names: readonly string[]): void {
    const { row } = this.scanner;
    const second = names.findIndex((name, i) => name !== "" && names.indexOf(name) < i);
    if (second >= 0) {
      const places = `${names.indexOf(names[second]!) + 1} and ${second + 1}`;
      const where = `${this.name}, line ${Math.max(1, row.line)}`;
      throw new DataError(
        `${where}: columns ${places} have the same name, ${shown(names[second])}`,
      );
    }
    row.names = names;
    this.scanner.columns = names.length;
    if (names.length > row.ends.length) row.reserve(names.length);
  }
}
