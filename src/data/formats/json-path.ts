import type { ValueColumn } from "./value-row.js";

export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * A column of records of nested values: by its whole name, or where a record has no such name, by a path `a.b` of names
 * and positions in lists.
 */
export class JsonColumn implements ValueColumn {
  /** Whether a record was asked for it, and whether one had it, be it as null. */
  asked = false;
  seen = false;
  readonly #steps: readonly string[];

  constructor(
    readonly name: string,
    readonly record: () => JsonObject,
  ) {
    this.#steps = name.split(".");
  }

  get(): unknown {
    const value = this.#find(this.record());
    this.asked = true;
    if (value !== undefined) this.seen = true;
    return value;
  }

  #find(record: JsonObject): unknown {
    const steps = this.#steps;
    if (steps.length === 1 || Object.hasOwn(record, this.name)) return member(record, this.name);
    return steps.reduce(member, record as unknown);
  }
}

/** Only what the data has: not what every object inherits, nor the length of a list. */
function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  if (Array.isArray(value) && name === "length") return undefined;
  return Object.hasOwn(value, name) ? (value as JsonObject)[name] : undefined;
}
