import { totalmem } from "node:os";
import { DataError } from "../../errors.js";
import type { EventBlock } from "./sorter.js";

const shift = 18;
/** Rows of a piece. Pieces are added, never copied: growing costs no second copy of the data. */
const pieceRows = 1 << shift;
const pieceMask = pieceRows - 1;
/** Numbers of rows are kept as uint32. */
const mostRows = 2 ** 32 - 1;

/**
 * Events in order of arrival, in memory. The time and the columns of a row lie side by side, so that reading a row from
 * anywhere touches one cache line and not one for each column.
 */
export class EventStore {
  #rows = 0;
  /** Events of each user, as long as need be. */
  #counts = new Uint32Array(1 << 12);
  #users = 0;
  readonly #userPieces: Int32Array[] = [];
  /** The records of each piece, and the same memory as int32. */
  readonly #records: Float64Array[] = [];
  readonly #halves: Int32Array[] = [];
  /** Float64s of a record: the time, then the columns in pairs. */
  readonly #stride: number;

  /**
   * @param columns     of every block
   * @param memoryLimit bytes that the events and their order may take. Default: what the machine or the container has
   */
  constructor(
    readonly columns: number,
    readonly memoryLimit: number = physicalMemory(),
  ) {
    this.#stride = 1 + Math.ceil(columns / 2);
  }

  get rows(): number {
    return this.#rows;
  }

  /** Events of each user; the user is the index. */
  get counts(): Uint32Array {
    return this.#counts.subarray(0, this.#users);
  }

  /** Whether so many more rows fit. */
  hasRoom(rows: number): boolean {
    // Whole pieces of records, users, and the order of the rows that sorting adds.
    const needed = Math.ceil((this.#rows + rows) / pieceRows) * pieceRows;
    const rowBytes = 8 * this.#stride + 4 + 4;
    return needed <= mostRows && needed * rowBytes <= this.memoryLimit;
  }

  /** @throws DataError when they do not fit */
  append(block: EventBlock): void {
    if (!this.hasRoom(block.rows)) throw this.tooLarge();
    for (let start = 0; start < block.rows; ) {
      const at = this.#rows & pieceMask;
      if (at === 0) this.#addPiece();
      const end = Math.min(block.rows, start + pieceRows - at);
      this.#copy(block, start, end);
      this.#rows += end - start;
      start = end;
    }
  }

  /** All rows in order of arrival, in blocks; each piece is forgotten once it was given. */
  *takeBlocks(): Generator<EventBlock> {
    const rows = Math.min(pieceRows, this.#rows);
    const time = new Float64Array(rows);
    const columns = Array.from({ length: this.columns }, () => new Int32Array(rows));
    for (const user of this.takeUsers()) {
      const records = this.#records.shift()!;
      const halves = this.#halves.shift()!;
      for (let i = 0, record = 0; i < user.length; i++, record += this.#stride) {
        time[i] = records[record]!;
        for (let c = 0; c < this.columns; c++) columns[c]![i] = halves[2 * record + 2 + c]!;
      }
      yield { rows: user.length, user, time, columns };
    }
  }

  /** The users of all rows in order of arrival, piece by piece; each piece is forgotten once it was given. */
  *takeUsers(): Generator<Int32Array> {
    for (let left = this.#rows; left > 0; left -= pieceRows) {
      yield this.#userPieces.shift()!.subarray(0, Math.min(pieceRows, left));
    }
  }

  /** Copies the times of some rows; whether they are in order. */
  times(rows: Uint32Array, into: Float64Array): boolean {
    const records = this.#records;
    const stride = this.#stride;
    let inOrder = true;
    let last = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!;
      const time = records[row >>> shift]![(row & pieceMask) * stride]!;
      into[i] = time;
      if (time < last) inOrder = false;
      last = time;
    }
    return inOrder;
  }

  /** Copies time and columns of `rows[start ... end)` into a block, from the block's row `at` on. */
  read(rows: Uint32Array, start: number, end: number, block: EventBlock, at: number): void {
    const stride = this.#stride;
    const { time, columns } = block;
    const width = this.columns;
    for (let i = start, to = at; i < end; i++, to++) {
      const row = rows[i]!;
      const piece = row >>> shift;
      const record = (row & pieceMask) * stride;
      time[to] = this.#records[piece]![record]!;
      const halves = this.#halves[piece]!;
      for (let c = 0; c < width; c++) columns[c]![to] = halves[2 * record + 2 + c]!;
    }
  }

  clear(): void {
    this.#userPieces.length = 0;
    this.#records.length = 0;
    this.#halves.length = 0;
    this.#rows = 0;
  }

  /** Appends rows of a block that fit into the last piece. */
  #copy(block: EventBlock, start: number, end: number): void {
    const stride = this.#stride;
    const at = this.#rows & pieceMask;
    const users = this.#userPieces.at(-1)!;
    const records = this.#records.at(-1)!;
    const halves = this.#halves.at(-1)!;
    for (let i = start, to = at; i < end; i++, to++) {
      const user = block.user[i]!;
      if (user >= this.#users) this.#reach(user);
      this.#counts[user]!++;
      users[to] = user;
      records[to * stride] = block.time[i]!;
    }
    for (let c = 0; c < this.columns; c++) {
      const column = block.columns[c]!;
      let to = 2 * at * stride + 2 + c;
      for (let i = start; i < end; i++, to += 2 * stride) halves[to] = column[i]!;
    }
  }

  #reach(user: number): void {
    this.#users = user + 1;
    if (user < this.#counts.length) return;
    const grown = new Uint32Array(Math.max(2 * this.#counts.length, user + 1));
    grown.set(this.#counts);
    this.#counts = grown;
  }

  #addPiece(): void {
    try {
      const memory = new ArrayBuffer(pieceRows * 8 * this.#stride);
      this.#userPieces.push(new Int32Array(pieceRows));
      this.#records.push(new Float64Array(memory));
      this.#halves.push(new Int32Array(memory));
    } catch (cause) {
      throw this.tooLarge(cause);
    }
  }

  /** What to say when no more rows fit. */
  tooLarge(cause?: unknown): DataError {
    const limit = Math.floor(this.memoryLimit / 2 ** 20);
    return new DataError(
      `sorting in memory: more than ${this.#rows} events do not fit in ${limit} MiB; DuckDB sorts ` +
        "any number of them: npm install @duckdb/node-api, and the sorter duckdb or auto",
      { cause },
    );
  }
}

/** What this process can have: the machine's memory, or its container's. */
function physicalMemory(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}
