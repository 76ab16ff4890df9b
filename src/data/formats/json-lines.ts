import { DataError, RowError } from "../../errors.js";
import { ByteSource } from "./byte-source.js";
import { jsonFault } from "./json-fault.js";
import { type JsonObject, jsonColumn } from "./json-path.js";
import { parsePythonLiteral } from "./python-literal.js";
import type { ReaderOptions, Row, RowReader } from "./row.js";
import { shown } from "./shown.js";
import { SyntaxFault } from "./syntax-fault.js";
import { TextWindow } from "./text-window.js";
import { type ValueColumn, ValueRow } from "./value-row.js";

export interface JsonLinesFormat {
  /** `python`: every line is a Python dictionary, as in the metadata of Amazon Reviews 2014. Default: `json`. */
  syntax?: "json" | "python" | undefined;
  /** Most bytes of a line. Default: 8 MiB. */
  longestLine?: number | undefined;
  /** Bytes read at once. Default: 256 KiB. */
  blockBytes?: number | undefined;
}

const newline = 0x0a;
/** Of the file's beginning, looked at to tell lines of JSON from one piece of it. */
const headBytes = 256;
const finished: IteratorReturnResult<undefined> = { done: true, value: undefined };

/**
 * Reads a file with one object a line, as it is or in gzip. UTF-8; blank lines are passed over.
 *
 * A column is a name, or a path `a.b` of names and positions in lists. Any may be missing in any record, so that
 * asking for a column that is nowhere is no error.
 *
 * @throws DataError when the file cannot be read, or begins with a list
 */
export async function openJsonLines(
  path: string,
  format: JsonLinesFormat,
  options: ReaderOptions,
): Promise<RowReader> {
  const source = await ByteSource.open(path, { ...options, blockBytes: format.blockBytes });
  try {
    const window = await TextWindow.open(source, "utf8", format.longestLine);
    const parse = format.syntax === "python" ? parsePythonLiteral : parseJson;
    const reader = new JsonLinesReader(window, parse, options.onError);
    await reader.checkStart();
    return reader;
  } catch (error) {
    await source.close();
    throw error;
  }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw jsonFault(line);
  }
}

/** Its own blocks, and their iterator: there is only one place in the file to read at. */
class JsonLinesReader implements RowReader, Iterable<Row>, Iterator<Row, undefined> {
  readonly #columns: ValueColumn[] = [];
  readonly #row: ValueRow;
  #record: JsonObject = {};
  readonly #current: IteratorYieldResult<Row>;

  constructor(
    readonly window: TextWindow,
    readonly parse: (line: string) => unknown,
    readonly report: ReaderOptions["onError"],
  ) {
    this.#row = new ValueRow(window.source.name, this.#columns);
    this.#current = { done: false, value: this.#row };
  }

  get name(): string {
    return this.window.source.name;
  }

  get bytes(): number | undefined {
    return this.window.source.bytes;
  }

  get bytesRead(): number {
    return this.window.source.bytesRead;
  }

  sha256(): string | undefined {
    return this.window.source.sha256();
  }

  close(): Promise<void> {
    return this.window.source.close();
  }

  column(name: string | number): number {
    return this.#columns.push(jsonColumn(`${name}`, () => this.#record)) - 1;
  }

  async *rows(): AsyncGenerator<Iterable<Row>> {
    for (;;) {
      yield this;
      while (!this.next().done); // rows that the caller left in the block are gone
      if (this.window.ended) return;
      await this.window.more();
    }
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<Row, undefined> {
    const { window } = this;
    while (window.start < window.end) {
      const { start } = window;
      const at = window.bytes.indexOf(newline, start);
      const closed = at >= 0 && at < window.end;
      const end = closed ? at : window.end;
      this.#row.line = window.line;
      if (end - start > window.longest) {
        this.#report(`expected a line of at most ${window.longest} bytes`, "more");
        window.skipLine();
      } else if (closed || window.ended) {
        window.start = closed ? at + 1 : end;
        window.line++;
        if (this.#reads(start, end)) return this.#current;
      } else {
        break;
      }
    }
    return finished;
  }

  /** @throws DataError for a file that is one piece of JSON, not lines of it */
  async checkStart(): Promise<void> {
    const { window } = this;
    while (!window.ended && window.end - window.start < headBytes) await window.more();
    const head = window.text(window.start, Math.min(window.end, window.start + headBytes));
    const [, list, object] = /^\s*(?:(\[)|(\{[ \t\r]*\n))/.exec(head) ?? [];
    if (list === undefined && object === undefined) return;
    const got =
      list === undefined ? "an object over several lines" : "a file that begins with a list";
    throw new DataError(`${this.name}: expected an object on every line (JSON lines), got ${got}`);
  }

  /** Whether the line is a record. */
  #reads(start: number, end: number): boolean {
    const { window } = this;
    if (!window.sound && !window.isSound(start, end)) {
      const at = window.firstUnsound(start, end);
      const byte = window.bytes[at]!;
      const got = byte === 0 ? "a NUL" : `0x${byte.toString(16)}`;
      this.#report("expected UTF-8 without NUL", `${got} at byte ${at - start + 1}`);
      return false;
    }
    const line = window.text(start, end);
    if (line.trim() === "") return false;
    try {
      const value = this.parse(line);
      if (typeof value === "object" && value !== null && !Array.isArray(value)) {
        this.#record = value as JsonObject;
        return true;
      }
      this.#report("expected an object", shown(value));
    } catch (error) {
      if (!(error instanceof SyntaxFault)) throw error;
      this.#report(error.expected, error.message);
    }
    return false;
  }

  #report(rule: string, got: string): void {
    this.report(new RowError(this.name, this.#row.line, undefined, rule, got));
  }
}
