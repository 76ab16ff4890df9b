/** The values of a feature while a source is read: each gets an index as it comes. */
import { DataError, RowError } from "../../errors.js";
import { Dictionary } from "../dictionary.js";
import { missingIndex } from "../feature.js";
import type { Row } from "../formats/row.js";
import type { FeatureMapping } from "../source.js";
import { namesOf } from "./names.js";
import { Numbers } from "./numbers.js";

/** Distinct values of an ordinal feature; one with more is a measurement, not a scale. */
const mostOrdinalValues = 10_000;

export type SingleMapping = Extract<FeatureMapping, { kind: "id" | "categorical" | "ordinal" }>;
export type BagMapping = Extract<FeatureMapping, { kind: "bag" }>;
export type TextMapping = Extract<FeatureMapping, { kind: "text" }>;

export interface Values {
  /** Distinct values so far. */
  readonly size: number;
  /** Forgets the values that came last, until `size` are left. */
  truncate(size: number): void;
  /** The values in the order of their indices. */
  list(): Promise<readonly string[] | readonly number[]>;
}

/** Values of a feature that has one in each row. */
export interface SingleValues extends Values {
  /** Index of the row's value; -1 where it has none. */
  read(row: Row, column: number): number;
}

export function singleValues(mapping: SingleMapping): SingleValues {
  return mapping.kind === "ordinal" ? new OrdinalValues(mapping) : new NameValues();
}

class NameValues implements SingleValues {
  readonly #names = new Dictionary();

  get size(): number {
    return this.#names.size;
  }

  read(row: Row, column: number): number {
    return row.index(column, this.#names);
  }

  truncate(size: number): void {
    this.#names.truncate(size);
  }

  list(): Promise<readonly string[]> {
    return namesOf(this.#names);
  }
}

class OrdinalValues implements SingleValues {
  readonly #numbers = new Numbers();
  readonly #min: number;
  readonly #max: number;

  constructor({
    min = -Infinity,
    max = Infinity,
  }: { min?: number | undefined; max?: number | undefined }) {
    this.#min = min;
    this.#max = max;
  }

  get size(): number {
    return this.#numbers.size;
  }

  read(row: Row, column: number): number {
    const value = row.number(column);
    if (value === undefined) return missingIndex;
    if (value < this.#min || value > this.#max) throw row.error(column, this.#range());
    const found = this.#numbers.find(value);
    return found === missingIndex ? this.#enter(value, row, column) : found;
  }

  truncate(size: number): void {
    this.#numbers.truncate(size);
  }

  async list(): Promise<readonly number[]> {
    return this.#numbers.values;
  }

  #enter(value: number, row: Row, column: number): number {
    if (this.#numbers.size === mostOrdinalValues) {
      // Not this row's fault, so not a RowError that could be skipped.
      const rule = `expected at most ${mostOrdinalValues} different numbers in an ordinal feature`;
      throw new DataError(row.error(column, rule).message);
    }
    return this.#numbers.enter(value);
  }

  #range(): string {
    if (this.#min === -Infinity) return `expected a number up to ${this.#max}`;
    if (this.#max === Infinity) return `expected a number from ${this.#min}`;
    return `expected a number from ${this.#min} to ${this.#max}`;
  }
}

/** Values of a bag. */
export class BagValues implements Values {
  readonly #names = new Dictionary();
  readonly #separator: string;
  readonly #none: ReadonlySet<string>;
  readonly #values: BagMapping["values"];
  readonly #indices: number[] = [];
  /** The read in which each value last came: a search among the row's values would take long for a bag of thousands. */
  readonly #lastReads: number[] = [];
  #reads = 0;

  constructor({ separator = "|", none = [], values }: BagMapping) {
    this.#separator = separator;
    this.#none = new Set(none);
    this.#values = values;
  }

  get size(): number {
    return this.#names.size;
  }

  /** Indices of the row's values, each once, in the order of the row. Valid until the next call. */
  read(row: Row, column: number): readonly number[] {
    const indices = this.#indices;
    indices.length = 0;
    this.#reads++;
    for (const text of this.#textsOf(row, column)) {
      const name = text.trim();
      if (name === "" || this.#none.has(name)) continue;
      const index = enter(name, this.#names, row, column);
      if (this.#lastReads[index] === this.#reads) continue;
      this.#lastReads[index] = this.#reads;
      indices.push(index);
    }
    return indices;
  }

  truncate(size: number): void {
    this.#names.truncate(size);
  }

  list(): Promise<readonly string[]> {
    return namesOf(this.#names);
  }

  #textsOf(row: Row, column: number): Iterable<string> {
    const field = row.value(column);
    if (field === undefined || field === null) return [];
    if (this.#values !== undefined) return this.#values(field);
    if (typeof field === "string") return field.split(this.#separator);
    if (isIterable(field)) {
      const names = Array.from(field);
      if (names.every((name) => typeof name === "string")) return names;
    }
    throw row.error(column, "expected a text or a list of texts");
  }
}

/** The row's text; "" where it has none. */
export function readText({ value }: Pick<TextMapping, "value">, row: Row, column: number): string {
  if (value === undefined) return row.text(column) ?? "";
  const field = row.value(column);
  return field === undefined || field === null ? "" : (value(field) ?? "");
}

function enter(name: string, names: Dictionary, row: Row, column: number): number {
  try {
    return names.index(name);
  } catch (error) {
    if (!(error instanceof DataError) || error instanceof RowError) throw error;
    throw row.error(column, error.message);
  }
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.iterator in value;
}
