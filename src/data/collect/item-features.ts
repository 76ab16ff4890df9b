/** Features of items while the items table is read: first a row is read, then, if all of it was good, it is kept. */
import { missingIndex } from "../feature.js";
import type { Row, RowReader } from "../formats/row.js";
import type { FeatureMapping } from "../source.js";
import type { ItemColumn } from "./collected.js";
import { Int32List } from "./lists.js";
import {
  type BagMapping,
  BagValues,
  readText,
  type SingleMapping,
  type SingleValues,
  singleValues,
  type TextMapping,
  type Values,
} from "./values.js";

export interface ItemFeature {
  readonly name: string;
  readonly kind: FeatureMapping["kind"];
  /** Undefined for text. */
  readonly values: Values | undefined;
  /** Finds the feature's column in a file. */
  bind(reader: RowReader): void;
  read(row: Row): void;
  /** Keeps what was read for the next item. */
  keep(): void;
  /** Notes that the next item has no value. */
  keepNothing(): void;
  column(): ItemColumn;
}

export function itemFeature(name: string, mapping: FeatureMapping): ItemFeature {
  if (mapping.kind === "text") return new ItemText(name, mapping);
  if (mapping.kind === "bag") return new ItemBag(name, mapping);
  return new ItemSingle(name, mapping);
}

class ItemSingle implements ItemFeature {
  readonly values: SingleValues;
  readonly kind: SingleMapping["kind"];
  readonly #indices = new Int32List();
  #column = 0;
  #read = missingIndex;

  constructor(
    readonly name: string,
    readonly mapping: SingleMapping,
  ) {
    this.kind = mapping.kind;
    this.values = singleValues(mapping);
  }

  bind(reader: RowReader): void {
    this.#column = reader.column(this.mapping.column);
  }

  read(row: Row): void {
    this.#read = this.values.read(row, this.#column);
  }

  keep(): void {
    this.#indices.push(this.#read);
  }

  keepNothing(): void {
    this.#indices.push(missingIndex);
  }

  column(): ItemColumn {
    return { feature: this.name, kind: "single", indices: this.#indices.toArray() };
  }
}

class ItemBag implements ItemFeature {
  readonly kind = "bag";
  readonly values: BagValues;
  readonly #offsets = new Int32List();
  readonly #indices = new Int32List();
  #column = 0;
  #read: readonly number[] = [];

  constructor(
    readonly name: string,
    readonly mapping: BagMapping,
  ) {
    this.values = new BagValues(mapping);
    this.#offsets.push(0);
  }

  bind(reader: RowReader): void {
    this.#column = reader.column(this.mapping.column);
  }

  read(row: Row): void {
    this.#read = this.values.read(row, this.#column);
  }

  keep(): void {
    for (const index of this.#read) this.#indices.push(index);
    this.#offsets.push(this.#indices.length);
  }

  keepNothing(): void {
    this.#offsets.push(this.#indices.length);
  }

  column(): ItemColumn {
    const offsets = this.#offsets.toArray();
    return { feature: this.name, kind: "bag", offsets, values: this.#indices.toArray() };
  }
}

class ItemText implements ItemFeature {
  readonly kind = "text";
  readonly values = undefined;
  readonly #texts: string[] = [];
  #column = 0;
  #read = "";

  constructor(
    readonly name: string,
    readonly mapping: TextMapping,
  ) {}

  bind(reader: RowReader): void {
    this.#column = reader.column(this.mapping.column);
  }

  read(row: Row): void {
    this.#read = readText(this.mapping, row, this.#column);
  }

  keep(): void {
    this.#texts.push(this.#read);
  }

  keepNothing(): void {
    this.#texts.push("");
  }

  column(): ItemColumn {
    return { feature: this.name, kind: "text", texts: this.#texts };
  }
}
