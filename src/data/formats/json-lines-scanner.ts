import { DataError, RowError } from "../../errors.js";
import { JsonColumn, type JsonObject } from "./json-path.js";
import type { ReaderOptions } from "./row.js";
import { shown } from "./shown.js";
import { SyntaxFault } from "./syntax-fault.js";
import type { RecordScanner } from "./text-reader.js";
import type { TextWindow } from "./text-window.js";
import { ValueRow } from "./value-row.js";

const newline = 0x0a;

/** Takes objects out of a window, one a line. */
export class JsonLinesScanner implements RecordScanner {
  readonly row: ValueRow;
  readonly #columns: JsonColumn[] = [];
  #record: JsonObject = {};
  /** Names of the first record, for messages. */
  #names: readonly string[] | undefined;

  constructor(
    readonly window: TextWindow,
    /** Throws a `SyntaxFault`. */
    readonly parse: (line: string) => unknown,
    readonly requireColumns: boolean,
    readonly report: ReaderOptions["onError"],
  ) {
    this.row = new ValueRow(window.source.name, this.#columns);
  }

  column(name: string | number): number {
    return this.#columns.push(new JsonColumn(`${name}`, () => this.#record)) - 1;
  }

  advance(): boolean {
    const { window } = this;
    while (window.start < window.end) {
      const { start } = window;
      const at = window.bytes.indexOf(newline, start);
      const closed = at >= 0 && at < window.end;
      const end = closed ? at : window.end;
      this.row.line = window.line;
      if (end - start > window.longest) {
        this.#report(`expected a line of at most ${window.longest} bytes`, "more");
        window.skipLine();
      } else if (closed || window.ended) {
        window.start = closed ? at + 1 : end;
        window.line++;
        if (this.#reads(start, end)) return true;
      } else {
        break;
      }
    }
    return false;
  }

  /** @throws DataError when no record had a column that they were asked for */
  checkColumns(): void {
    if (!this.requireColumns) return;
    const column = this.#columns.find(({ asked, seen }) => asked && !seen);
    if (column === undefined) return;
    const names = (this.#names ?? []).map((name) => `"${name}"`).join(", ");
    throw new DataError(
      `${this.window.source.name}: no record has a column "${column.name}"; the first has ${names}`,
    );
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
        this.#names ??= Object.keys(value);
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
    this.report(new RowError(this.window.source.name, this.row.line, undefined, rule, got));
  }
}
