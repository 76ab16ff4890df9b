import { ConfigError, DataError } from "../../errors.js";
import { ByteSource } from "./byte-source.js";
import { DelimitedScanner } from "./delimited-scanner.js";
import type { ReaderOptions, RowReader } from "./row.js";
import { shown } from "./shown.js";
import { TextReader } from "./text-reader.js";
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
    const scanner = new DelimitedScanner(window, separator, quotes);
    await readHeader(scanner, header);
    scanner.report = options.onError;
    return new TextReader(scanner);
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

/** Learns the columns from the first line, from the caller, or by counting those of the first line. */
async function readHeader(
  scanner: DelimitedScanner,
  header: boolean | readonly string[],
): Promise<void> {
  if (typeof header === "object") return setNames(scanner, header);
  const { window, row } = scanner;
  while (!scanner.advance()) {
    if (!window.ended) await window.more();
    else if (!header) return;
    else {
      const where = window.source.name;
      throw new DataError(`${where}: expected a line that names the columns, got an empty file`);
    }
  }
  const { fields, start } = scanner;
  if (header) {
    const names = Array.from({ length: fields }, (_, i) => row.text(i) ?? "");
    return setNames(scanner, names);
  }
  scanner.columns = fields;
  window.start = start; // it is a record
  window.line = row.line;
}

function setNames(scanner: DelimitedScanner, names: readonly string[]): void {
  const { row, window } = scanner;
  const places = new Map<string, number>();
  for (const [second, name] of names.entries()) {
    const first = places.get(name);
    places.set(name, second);
    if (name === "" || first === undefined) continue;
    const where = `${window.source.name}, line ${Math.max(1, row.line)}`;
    const both = `${first + 1} and ${second + 1}`;
    throw new DataError(`${where}: columns ${both} have the same name, ${shown(name)}`);
  }
  row.names = names;
  scanner.columns = names.length;
  if (names.length > row.ends.length) row.reserve(names.length);
}
