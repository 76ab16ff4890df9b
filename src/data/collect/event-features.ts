/** Features of events while they are read. */
import type { Row, RowReader } from "../formats/row.js";
import type { EventBlock } from "../sort/sorter.js";
import type { Spool } from "../sort/spool.js";
import { Counts } from "./lists.js";
import {
  type BagMapping,
  BagValues,
  readText,
  type SingleMapping,
  type SingleValues,
  singleValues,
  type TextMapping,
} from "./values.js";

export type EventFeature = EventSingle | EventBag | EventText;

/** A feature whose indices go into a column of the sorter. */
export class EventSingle {
  readonly kind: SingleMapping["kind"];
  readonly values: SingleValues;
  readonly counts = new Counts();
  readonly longest = 1;
  missing = 0;
  #column = 0;

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

  read(row: Row): number {
    return this.values.read(row, this.#column);
  }

  /** Counts a block's values. */
  count(block: EventBlock, indices: Int32Array): void {
    this.missing += this.counts.addAll(indices, block.rows, this.values.size);
  }
}

/** A feature whose bags wait in a spool: first a row is read, then, if all of it was good, it is kept. */
export class EventBag {
  readonly kind = "bag";
  readonly values: BagValues;
  readonly counts = new Counts();
  missing = 0;
  longest = 0;
  #column = 0;
  #read: readonly number[] = [];

  constructor(
    readonly name: string,
    readonly mapping: BagMapping,
    readonly spool: Spool,
  ) {
    this.values = new BagValues(mapping);
  }

  bind(reader: RowReader): void {
    this.#column = reader.column(this.mapping.column);
  }

  read(row: Row): void {
    this.#read = this.values.read(row, this.#column);
  }

  keep(): void {
    if (this.#read.length === 0) this.missing++;
    this.longest = Math.max(this.longest, this.#read.length);
    for (const index of this.#read) this.counts.add(index);
    this.spool.append(this.#read);
  }
}

/** A feature whose texts wait in a spool. */
export class EventText {
  readonly kind = "text";
  readonly values = undefined;
  readonly longest = 1;
  missing = 0;
  #column = 0;
  #read = "";

  constructor(
    readonly name: string,
    readonly mapping: TextMapping,
    readonly spool: Spool,
  ) {}

  bind(reader: RowReader): void {
    this.#column = reader.column(this.mapping.column);
  }

  read(row: Row): void {
    this.#read = readText(this.mapping, row, this.#column);
  }

  keep(): void {
    if (this.#read === "") this.missing++;
    this.spool.append(this.#read);
  }
}
