import { setImmediate } from "node:timers/promises";
import { DataError, RowError, UsageError } from "../../errors.js";
import type { ReaderOptions, Row, RowReader } from "./row.js";
import { shown } from "./shown.js";
import { type ValueColumn, ValueRow } from "./value-row.js";

/** Plain objects, each an event, or each a user with all of theirs: `{ userId, events: [{ item, time }, ...] }`. */
export type Rows = Iterable<object> | AsyncIterable<object>;

export interface IterableOptions extends ReaderOptions {
  /** For messages. Default: `rows`. */
  name?: string | undefined;
  /**
   * The property that holds a user's events, an array of objects. Each becomes a row; what the event does not have is
   * looked up in the user. Rows whose property is no array are events themselves. Default: `events`.
   */
  events?: string | undefined;
  /** Other names of a column. The first that the first row has is read. */
  aliases?: Readonly<Record<string, readonly string[]>> | undefined;
}

/** Rows are waited for by the block. */
const blockRows = 2048;

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads plain objects as they come. Nothing is kept of them but a block, so every row must be an object of its own.
 *
 * @throws DataError when the iteration throws (that error is its `cause`), or when no row has a column that was asked for
 */
export async function openIterable(rows: Rows, options: IterableOptions): Promise<RowReader> {
  return new IterableReader(rows, options);
}

class IterableReader implements RowReader {
  readonly name: string;
  readonly bytes = undefined;
  readonly bytesRead = 0;
  readonly #iterator: Iterator<object> | AsyncIterator<object>;
  readonly #options: IterableOptions;
  readonly #events: string;
  readonly #columns: ObjectColumn[] = [];
  #pulled = 0;
  /** Whether a row has been asked for and has not come; `#abort` ends the wait. */
  #waiting = false;
  #abort: ((reason: unknown) => void) | undefined;
  #finished = false;

  constructor(rows: Rows, options: IterableOptions) {
    this.#options = options;
    this.#events = options.events ?? "events";
    this.name = options.name ?? "rows";
    if (typeof rows !== "object" || !(Symbol.asyncIterator in rows || Symbol.iterator in rows)) {
      throw new UsageError(`${this.name}: expected an iterable or async iterable of objects`);
    }
    this.#iterator =
      Symbol.asyncIterator in rows ? rows[Symbol.asyncIterator]() : rows[Symbol.iterator]();
  }

  column(name: string | number): number {
    if (typeof name === "number") {
      throw new DataError(`${this.name}: rows are objects, so columns go by name, got ${name}`);
    }
    const names = [name, ...(this.#options.aliases?.[name] ?? [])];
    return this.#columns.push(new ObjectColumn(names, this.#events)) - 1;
  }

  async *rows(): AsyncGenerator<Iterable<Row>> {
    const { signal } = this.#options;
    const abort = () => this.#abort?.(signal?.reason);
    signal?.addEventListener("abort", abort);
    try {
      const row = new ValueRow(this.name, this.#columns);
      let first: object | undefined;
      while (!this.#finished) {
        const line = this.#pulled + 1;
        const block = await this.#pull();
        first ??= block.find(isFields);
        yield this.#walk(row, block, line);
        await setImmediate(); // an array of rows has nothing to wait for, and others want the event loop
      }
      const missing = this.#columns.find((column) => column.asked && !column.seen);
      if (missing !== undefined && first !== undefined) throw this.#noColumn(missing, first);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  sha256(): undefined {}

  async close(): Promise<void> {
    if (this.#finished) return;
    this.#finished = true;
    const returned = (async () => this.#iterator.return?.())().catch(() => {});
    // An iteration that hangs in `next` would hold up its `return` too.
    if (!this.#waiting) await returned;
  }

  /** The next rows as they are, at most a block. */
  async #pull(): Promise<object[]> {
    const block: object[] = [];
    this.#options.signal?.throwIfAborted();
    while (block.length < blockRows) {
      const step = this.#next();
      const { done, value } = "then" in step ? await this.#unlessAborted(step) : step;
      if (done === true) {
        this.#finished = true;
        break;
      }
      this.#pulled++;
      block.push(value);
    }
    return block;
  }

  #next(): IteratorResult<object> | Promise<IteratorResult<object>> {
    try {
      return this.#iterator.next();
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** Settles as the step does; rejects when the signal aborts, even if the iteration hangs. */
  #unlessAborted(step: Promise<IteratorResult<object>>): Promise<IteratorResult<object>> {
    this.#waiting = true;
    return new Promise((resolve, reject) => {
      this.#abort = reject;
      step
        .finally(() => {
          this.#waiting = false;
        })
        .then(resolve, (error) => reject(this.#failure(error)));
    });
  }

  #failure(cause: unknown): DataError {
    this.#finished = true;
    const message = cause instanceof Error ? cause.message : shown(cause);
    const text = `${this.name}: the iteration failed after ${this.#pulled} rows: ${message}`;
    return new DataError(text, { cause });
  }

  *#walk(row: ValueRow, block: readonly object[], line: number): Generator<Row> {
    for (const [i, fields] of block.entries()) {
      row.line = line + i;
      if (!isFields(fields)) {
        this.#blame(row.line, undefined, fields);
        continue;
      }
      const events = fields[this.#events];
      if (!Array.isArray(events)) {
        for (const column of this.#columns) column.move(fields, undefined, 0);
        yield row;
        continue;
      }
      for (const [place, event] of events.entries()) {
        if (!isFields(event)) {
          this.#blame(row.line, `${this.#events}[${place}]`, event);
          continue;
        }
        for (const column of this.#columns) column.move(fields, event, place);
        yield row;
      }
    }
  }

  #blame(line: number, column: string | undefined, value: unknown): void {
    const rule = "expected an object";
    this.#options.onError(new RowError(this.name, line, column, rule, shown(value)));
  }

  #noColumn(column: ObjectColumn, first: object): DataError {
    const events = (first as Fields)[this.#events];
    const event = Array.isArray(events) ? events.find(isFields) : undefined;
    const has = [...Object.keys(first), ...Object.keys(event ?? {})];
    const names = has.map((name) => `"${name}"`).join(", ");
    const wanted = column.names.map((name) => `"${name}"`).join(" or ");
    return new DataError(`${this.name}: no row has a column ${wanted}; the first row has ${names}`);
  }
}

/** A property of the objects, found by its name or, where a name has dots, by that path. */
class ObjectColumn implements ValueColumn {
  /** Whether a row was asked for it, and whether one had it. */
  asked = false;
  seen = false;
  #name: string | undefined;
  #path: readonly string[] = [];
  #fields: Fields = {};
  #event: Fields | undefined;
  #place = 0;

  constructor(
    readonly names: readonly string[],
    readonly events: string,
  ) {}

  get name(): string {
    const name = this.#name ?? this.names[0]!;
    const inEvent = this.#event !== undefined && this.#of(this.#event) !== undefined;
    return inEvent ? `${this.events}[${this.#place}].${name}` : name;
  }

  move(fields: Fields, event: Fields | undefined, place: number): void {
    this.#fields = fields;
    this.#event = event;
    this.#place = place;
  }

  get(): unknown {
    this.asked = true;
    const value = this.#name === undefined ? this.#settle() : this.#read();
    if (value !== undefined) this.seen = true;
    return value;
  }

  /** Settles for the first of the names that this row has. */
  #settle(): unknown {
    for (const name of this.names) {
      this.#name = name;
      this.#path = name.split(".");
      const value = this.#read();
      if (value !== undefined) return value;
    }
    this.#name = undefined;
    return undefined;
  }

  #read(): unknown {
    const own = this.#event === undefined ? undefined : this.#of(this.#event);
    return own === undefined ? this.#of(this.#fields) : own;
  }

  #of(fields: Fields): unknown {
    const value = fields[this.#name!];
    if (value !== undefined || this.#path.length === 1) return value;
    let inner: unknown = fields;
    for (const name of this.#path) inner = isFields(inner) ? inner[name] : undefined;
    return inner;
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
