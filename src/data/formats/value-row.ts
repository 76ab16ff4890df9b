import { DataError, RowError } from "../../errors.js";
import type { Dictionary } from "../dictionary.js";
import { missingIndex } from "../feature.js";
import { parseDecimal } from "./decimal.js";
import type { Row } from "./row.js";
import { shown } from "./shown.js";

/** What a `Date` can hold. */
const latestMoment = 8.64e15; // ms

/** A column of rows whose fields are JavaScript values. */
export interface ValueColumn {
  /** Name for messages. */
  readonly name: string;
  /** Whether its numbers are moments: milliseconds since 1970. */
  readonly moments?: boolean | undefined;
  /** A text, number, bigint, boolean, `Date`, or something nested; null or undefined where the row has none. */
  get(row: number): unknown;
  /** What `Row.index` gives, where the format has a shorter way to it than by the text. */
  index?(row: number, dictionary: Dictionary): number;
}

/** The row of every format that decodes its fields to JavaScript values. Whoever reads moves `at` and `line` on. */
export class ValueRow implements Row {
  line = 0;
  /** What columns are asked for: the row's place in its block. */
  at = 0;

  constructor(
    readonly file: string,
    /** Column `i` is what `RowReader.column` numbered so. A reader may replace them from block to block. */
    public columns: readonly ValueColumn[],
  ) {}

  text(column: number): string | undefined {
    const value = this.#get(column);
    if (typeof value === "string") return value === "" ? undefined : value;
    if (value === undefined || value === null) return undefined;
    const moment = this.moment(column);
    if (moment !== undefined) return new Date(moment).toISOString();
    if (typeof value === "bigint" || typeof value === "boolean") return String(value);
    if (typeof value !== "number" || !Number.isFinite(value)) {
      throw this.error(column, "expected a text");
    }
    // A larger one may not be what was written: two ids may have become one.
    if (!Number.isInteger(value) || Number.isSafeInteger(value)) return String(value);
    throw this.error(column, "expected a number within ±2^53, a bigint or a text");
  }

  number(column: number): number | undefined {
    const value = this.#get(column);
    if (typeof value === "number") {
      if (Number.isFinite(value)) return value;
    } else if (value === undefined || value === null || value === "") {
      return undefined;
    } else if (typeof value === "bigint") {
      const number = Number(value);
      if (Number.isSafeInteger(number)) return number;
      throw this.error(column, "expected a whole number within ±2^53");
    } else if (typeof value === "string") {
      const number = parseDecimal(value);
      if (number !== undefined) return number;
    } else if (value instanceof Date) {
      return this.moment(column);
    }
    throw this.error(column, "expected a number");
  }

  moment(column: number): number | undefined {
    const value = this.#get(column);
    const known = typeof value === "number" && this.columns[column]!.moments === true;
    if (!known && !(value instanceof Date)) return undefined;
    const moment = Number(value);
    if (Math.abs(moment) <= latestMoment) return moment;
    throw this.error(column, "expected a valid date");
  }

  index(column: number, dictionary: Dictionary): number {
    try {
      const from = this.columns[column]!;
      if (from.index !== undefined) return from.index(this.at, dictionary);
      const text = this.text(column);
      return text === undefined ? missingIndex : dictionary.index(text);
    } catch (error) {
      if (!(error instanceof DataError) || error instanceof RowError) throw error;
      throw this.error(column, error.message);
    }
  }

  value(column: number): unknown {
    return this.#get(column);
  }

  error(column: number, rule: string): RowError {
    const { name } = this.columns[column]!;
    const value = this.#get(column);
    const got = value === undefined ? "nothing" : shown(value);
    return new RowError(this.file, this.line, name, rule, got);
  }

  #get(column: number): unknown {
    const from = this.columns[column]!;
    try {
      return from.get(this.at);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      throw new RowError(this.file, this.line, from.name, error.message);
    }
  }
}
