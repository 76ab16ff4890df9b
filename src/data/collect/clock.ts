/** When events happened, as whole numbers that sort. */
import type { Row, RowReader } from "../formats/row.js";
import type { EventsMapping, TimeUnit } from "../source.js";
import { parseIsoTime } from "./iso-time.js";

/** What `Date` can hold. */
const latestTime = 8.64e15; // milliseconds from 1970, either way

/** Milliseconds since 1970, or positions. */
export interface Clock {
  read(row: Row): number;
}

/** Of an events table without time and position: the order of the file is the order of time. */
export class FileOrder implements Clock {
  #next = 0;

  read(): number {
    return this.#next++;
  }
}

/** The clock of an events table as its reader numbers the columns; `order` is asked where there is neither time nor position. */
export function clockOf(mapping: EventsMapping, reader: RowReader, order: FileOrder): Clock {
  const { time, position } = mapping;
  if (time !== undefined) {
    const column = reader.column(time.column);
    return time.unit === "iso" ? new IsoTime(column) : new NumericTime(column, time.unit);
  }
  return position === undefined ? order : new Position(reader.column(position));
}

class NumericTime implements Clock {
  /** Multiplied with one of them: a quotient is rounded better than a product with 0.001. */
  readonly #factor: number;
  readonly #divisor: number;

  constructor(
    readonly column: number,
    readonly unit: Exclude<TimeUnit, "iso">,
  ) {
    this.#factor = unit === "seconds" ? 1e3 : 1;
    this.#divisor = unit === "microseconds" ? 1e3 : unit === "nanoseconds" ? 1e6 : 1;
  }

  read(row: Row): number {
    const moment = row.moment?.(this.column);
    if (moment !== undefined) return Math.round(moment) + 0;
    const value = row.number(this.column);
    if (value === undefined) throw row.error(this.column, "expected a time");
    const exact = (value * this.#factor) / this.#divisor;
    const time = Math.round(exact);
    if (this.unit === "milliseconds" && time !== exact) {
      throw row.error(this.column, "expected whole milliseconds");
    }
    if (Math.abs(time) > latestTime) {
      throw row.error(this.column, `expected a time in ${this.unit} within 275 000 years of 1970`);
    }
    return time + 0; // never -0
  }
}

class IsoTime implements Clock {
  constructor(readonly column: number) {}

  read(row: Row): number {
    const moment = row.moment?.(this.column);
    if (moment !== undefined) return Math.round(moment) + 0;
    const text = row.text(this.column);
    if (text === undefined) throw row.error(this.column, "expected a time");
    const time = parseIsoTime(text);
    if (time === undefined) {
      throw row.error(
        this.column,
        "expected an ISO 8601 time, as 2019-11-21 or 2019-11-21T17:05:00Z",
      );
    }
    return time;
  }
}

class Position implements Clock {
  constructor(readonly column: number) {}

  read(row: Row): number {
    const value = row.number(this.column);
    if (value === undefined) throw row.error(this.column, "expected a position");
    if (!Number.isSafeInteger(value)) throw row.error(this.column, "expected a whole number");
    return value + 0; // never -0
  }
}
