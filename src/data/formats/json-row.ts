import { RowError } from "../../errors.js";
import { type Dictionary, longestKey } from "../dictionary.js";
import { parseDecimal } from "./decimal.js";
import type { Row } from "./row.js";
import { shown } from "./shown.js";

interface Path {
  readonly name: string;
  readonly steps: readonly string[];
}

/** A record of nested values. */
export class JsonRow implements Row {
  line = 0;
  record: Readonly<Record<string, unknown>> = {};
  readonly #paths: Path[] = [];

  constructor(readonly file: string) {}

  column(name: string): number {
    return this.#paths.push({ name, steps: name.split(".") }) - 1;
  }

  /** The whole name is tried first: it may have dots. */
  value(column: number): unknown {
    const { name, steps } = this.#paths[column]!;
    if (steps.length === 1 || Object.hasOwn(this.record, name)) return member(this.record, name);
    let value: unknown = this.record;
    for (const step of steps) value = member(value, step);
    return value;
  }

  text(column: number): string | undefined {
    const value = this.value(column);
    switch (typeof value) {
      case "undefined":
        return undefined;
      case "string":
        return value === "" ? undefined : value;
      case "boolean":
      case "bigint":
        return String(value);
      case "number":
        // What was read is not what was written: two ids may have become one.
        if (!Number.isInteger(value) || Number.isSafeInteger(value)) return String(value);
        throw this.error(column, "expected a number of at most 2^53, or one in quotes");
      default:
        if (value === null) return undefined;
        throw this.error(column, "expected a text");
    }
  }

  number(column: number): number | undefined {
    const value = this.value(column);
    if (value === undefined || value === null || value === "") return undefined;
    const number =
      typeof value === "string"
        ? parseDecimal(value)
        : typeof value === "bigint"
          ? Number(value)
          : value;
    if (typeof number === "number" && Number.isFinite(number)) return number;
    throw this.error(column, "expected a number");
  }

  index(column: number, dictionary: Dictionary): number {
    const text = this.text(column);
    if (text === undefined) return -1;
    if (text.length > longestKey / 3 && Buffer.byteLength(text) > longestKey) {
      throw this.error(column, `expected an id of at most ${longestKey} bytes`);
    }
    return dictionary.index(text);
  }

  error(column: number, rule: string): RowError {
    const value = this.value(column);
    const got = value === undefined ? "nothing" : shown(value);
    return new RowError(this.file, this.line, this.#paths[column]!.name, rule, got);
  }
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  if (Array.isArray(value) && name === "length") return undefined;
  return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
}
