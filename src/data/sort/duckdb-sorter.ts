import { availableParallelism } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type {
  DuckDBAppender,
  DuckDBConnection,
  DuckDBDataChunk,
  DuckDBInstance,
} from "@duckdb/node-api";
import { ConfigError, DataError, UsageError } from "../../errors.js";
import { emptyBlock, sortedBlockRows } from "./sorted-block.js";
import type { EventBlock, EventSorter, SortedBlock } from "./sorter.js";
import { fillVector, readVector } from "./vector-items.js";

export interface DuckdbSorterOptions {
  /** An existing folder for temporary files. */
  folder: string;
  /** Bytes that DuckDB may take; the rest goes to temporary files. Default: 512 MiB. */
  memoryLimit?: number | undefined;
  /** Default: 4, or as many as there are. */
  threads?: number | undefined;
}

type DuckDB = typeof import("@duckdb/node-api");
type Explain = (error: unknown) => unknown;

/** Places in the order of arrival are uint32: half the bytes of a double in every comparison. */
const mostRows = 2 ** 32 - 1;
const turnMs = 10;

/**
 * Sorts in DuckDB, in the memory that it is given and temporary files: any number of events.
 *
 * @param columns of every block
 * @throws ConfigError when `@duckdb/node-api`, an optional dependency, is not installed
 * @throws DataError (from any of its methods) when DuckDB runs out of memory or disk
 */
export async function duckdbSorter(
  columns: number,
  options: DuckdbSorterOptions,
): Promise<EventSorter> {
  const { folder, memoryLimit = 512 * 2 ** 20 } = options;
  const { threads = Math.min(4, availableParallelism()) } = options;
  const duckdb = await loadDuckdb();
  const explain: Explain = (error) => explained(error, folder, memoryLimit);
  try {
    const table = await openTable(duckdb, columns, {
      memory_limit: `${Math.floor(memoryLimit / 2 ** 20)}MiB`,
      temp_directory: join(folder, "duckdb"),
      threads: `${threads}`,
      // The order of rows is a column of ours; keeping it as well takes memory.
      preserve_insertion_order: "false",
      // Nothing is fetched from the network, ever.
      autoinstall_known_extensions: "false",
      autoload_known_extensions: "false",
    });
    return new DuckdbSorter(table, explain);
  } catch (error) {
    throw explain(error);
  }
}

interface Table {
  readonly instance: DuckDBInstance;
  readonly connection: DuckDBConnection;
  readonly appender: DuckDBAppender;
  /** What rows are appended by. */
  readonly chunk: DuckDBDataChunk;
  readonly columns: number;
}

async function openTable(
  duckdb: DuckDB,
  columns: number,
  settings: Record<string, string>,
): Promise<Table> {
  const instance = await duckdb.DuckDBInstance.create(":memory:", settings);
  const connection = await instance.connect();
  const types = [duckdb.INTEGER, duckdb.DOUBLE, duckdb.UINTEGER];
  for (let c = 0; c < columns; c++) types.push(duckdb.INTEGER);
  const declared = namesOf(columns).map((name, i) => `${name} ${types[i]} NOT NULL`);
  await connection.run(`CREATE TABLE events (${declared.join(", ")})`);
  const appender = await connection.createAppender("events");
  const chunk = duckdb.DuckDBDataChunk.create(types, duckdb.DuckDBVector.standardSize());
  return { instance, connection, appender, chunk, columns };
}

class DuckdbSorter implements EventSorter {
  readonly #table: Table;
  readonly #explain: Explain;
  readonly #places: Uint32Array;
  #rows = 0;
  #taken = false;
  #closed = false;
  /** A call that runs in another thread, if any. */
  #running: Promise<unknown> = Promise.resolve();

  constructor(table: Table, explain: Explain) {
    this.#table = table;
    this.#explain = explain;
    this.#places = new Uint32Array(table.chunk.rowCount);
  }

  async append(block: EventBlock): Promise<void> {
    if (this.#taken) throw new UsageError("duckdbSorter: append() after sorted()");
    if (this.#rows + block.rows > mostRows) {
      throw new DataError(`sorting: at most ${mostRows} events can be sorted`);
    }
    let turn = performance.now();
    for (let start = 0; start < block.rows; start += this.#places.length) {
      const end = Math.min(block.rows, start + this.#places.length);
      this.#call(() => this.#appendRows(block, start, end));
      if (performance.now() - turn < turnMs) continue;
      await setImmediate();
      turn = performance.now();
    }
  }

  sorted(): AsyncIterable<SortedBlock> {
    if (this.#taken) throw new UsageError("duckdbSorter: sorted() gives one pass");
    this.#taken = true;
    return this.#blocks();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const { connection, instance } = this.#table;
    // A query that is only about to start overlooks being interrupted.
    const interrupting = setInterval(() => connection.interrupt(), 10);
    await this.#running.catch(() => undefined);
    clearInterval(interrupting);
    connection.closeSync();
    instance.closeSync();
  }

  #appendRows(block: EventBlock, start: number, end: number): void {
    const { chunk, appender, columns } = this.#table;
    const rows = end - start;
    // Setting it makes the vectors anew.
    if (chunk.rowCount !== rows) chunk.rowCount = rows;
    const places = this.#places.subarray(0, rows);
    for (let i = 0; i < rows; i++) places[i] = this.#rows++;
    fillVector(chunk.getColumnVector(0), block.user.subarray(start, end));
    fillVector(chunk.getColumnVector(1), block.time.subarray(start, end));
    fillVector(chunk.getColumnVector(2), places);
    for (let c = 0; c < columns; c++) {
      fillVector(chunk.getColumnVector(3 + c), block.columns[c]!.subarray(start, end));
    }
    appender.appendDataChunk(chunk);
  }

  async *#blocks(): AsyncGenerator<SortedBlock> {
    const { columns } = this.#table;
    const block = emptyBlock(Math.min(sortedBlockRows, this.#rows), columns);
    for await (const chunk of this.#chunks()) {
      const rows = chunk.rowCount;
      for (let start = 0; start < rows; ) {
        const end = Math.min(rows, start + sortedBlockRows - block.rows);
        readVector(chunk.getColumnVector(0), start, end, block.user, block.rows);
        readVector(chunk.getColumnVector(1), start, end, block.time, block.rows);
        readVector(chunk.getColumnVector(2), start, end, block.sourceRow, block.rows);
        for (let c = 0; c < columns; c++) {
          readVector(chunk.getColumnVector(3 + c), start, end, block.columns[c]!, block.rows);
        }
        block.rows += end - start;
        start = end;
        if (block.rows < sortedBlockRows) continue;
        yield block;
        block.rows = 0;
      }
    }
    if (block.rows > 0) yield block;
  }

  /** The sorted table; each chunk is fetched in another thread while the one before is used. */
  async *#chunks(): AsyncGenerator<DuckDBDataChunk> {
    const { connection, appender, columns } = this.#table;
    this.#call(() => appender.closeSync());
    const query = `SELECT ${namesOf(columns).join(", ")} FROM events ORDER BY u, t, r`;
    const result = await this.#run(connection.stream(query));
    let next = this.#run(result.fetchChunk());
    for (;;) {
      const chunk = await next;
      if (chunk === null || chunk.rowCount === 0) return;
      next = this.#run(result.fetchChunk());
      yield chunk;
    }
  }

  #run<T>(call: Promise<T>): Promise<T> {
    const explained = call.catch((error) => {
      throw this.#explain(error);
    });
    // Nobody looks at it if reading stops early.
    explained.catch(() => undefined);
    this.#running = explained;
    return explained;
  }

  #call(body: () => void): void {
    try {
      body();
    } catch (error) {
      throw this.#explain(error);
    }
  }
}

/** User, time, row, and the columns. */
function namesOf(columns: number): string[] {
  return ["u", "t", "r", ...Array.from({ length: columns }, (_, c) => `c${c}`)];
}

async function loadDuckdb(): Promise<DuckDB> {
  try {
    return await import("@duckdb/node-api");
  } catch (cause) {
    throw new ConfigError(
      "sorting with DuckDB needs the package @duckdb/node-api, which is not installed or does not load here; " +
        "run: npm install @duckdb/node-api",
      { cause },
    );
  }
}

/** DuckDB's messages are for users of its SQL: settings and hints follow the first line. */
function explained(error: unknown, folder: string, memoryLimit: number): unknown {
  if (!(error instanceof Error) || error instanceof DataError) return error;
  const { message } = error;
  let what = message.split("\n", 1)[0];
  if (/max_temp_directory_size|no space left/i.test(message)) {
    what = `no space is left on the disk for temporary files in ${folder}`;
  } else if (/out of memory|could not allocate/i.test(message)) {
    what = `${Math.floor(memoryLimit / 2 ** 20)} MiB of memory are too few; raise the memory limit`;
  }
  return new DataError(`sorting with DuckDB: ${what}`, { cause: error });
}
