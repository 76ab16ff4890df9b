import { DataError, RowError } from "../../errors.js";
import { Dictionary } from "../dictionary.js";
import type { Row, RowReader } from "../formats/row.js";
import type { EventBlock, EventSorter } from "../sort/sorter.js";
import type { EventsMapping } from "../source.js";
import { type Clock, clockOf, FileOrder } from "./clock.js";
import { type EventBag, type EventFeature, EventSingle, type EventText } from "./event-features.js";
import { Counts } from "./lists.js";
import type { Problems } from "./problems.js";
import type { BlockVisitor } from "./read-table.js";
import { Undo } from "./undo.js";

const blockRows = 1 << 16;
/** Indices are int32. */
const mostIndices = 2 ** 31 - 1;

/** Encodes events and hands them to the sorter by the block. */
export class Events {
  readonly users = new Dictionary();
  readonly singles: readonly EventSingle[];
  readonly spooled: readonly (EventBag | EventText)[];
  readonly itemCounts = new Counts();
  count = 0;
  readonly #order = new FileOrder();
  readonly #undo: Undo;
  readonly #block: EventBlock;
  // What the columns of the file being read are numbered.
  #clock: Clock = this.#order;
  #user = 0;
  #item = 0;

  constructor(
    readonly mapping: EventsMapping,
    readonly items: Dictionary,
    readonly features: readonly EventFeature[],
    readonly sorter: EventSorter,
    readonly problems: Problems,
  ) {
    this.singles = features.filter((feature) => feature instanceof EventSingle);
    this.spooled = features.filter((feature) => !(feature instanceof EventSingle));
    const values = features.flatMap((feature) => feature.values ?? []);
    this.#undo = new Undo([this.users, items, ...values]);
    this.#block = {
      rows: 0,
      user: new Int32Array(blockRows),
      time: new Float64Array(blockRows),
      columns: Array.from({ length: 1 + this.singles.length }, () => new Int32Array(blockRows)),
    };
  }

  /** Reads a file of the events table. */
  visitor(reader: RowReader): BlockVisitor {
    this.#user = reader.column(this.mapping.user);
    this.#item = reader.column(this.mapping.item);
    this.#clock = clockOf(this.mapping, reader, this.#order);
    for (const feature of this.singles) feature.bind(reader);
    for (const feature of this.spooled) feature.bind(reader);
    return async (rows) => {
      const iterator = rows[Symbol.iterator]();
      while (!this.#fill(iterator)) await this.flush();
    };
  }

  /** Hands the rows read so far to the sorter; call it at the end. */
  async flush(): Promise<void> {
    const block = this.#block;
    if (this.#undo.largest > mostIndices) {
      throw new DataError(`more than ${mostIndices} users, items or values of a feature`);
    }
    this.itemCounts.addAll(block.columns[0]!, block.rows, this.items.size);
    for (const [i, feature] of this.singles.entries()) feature.count(block, block.columns[i + 1]!);
    this.count += block.rows;
    await this.sorter.append(block);
    for (const { spool } of this.spooled) await spool.flush();
    block.rows = 0;
  }

  /** Fills the block. Returns whether the rows came to their end before it was full. */
  #fill(rows: Iterator<Row>): boolean {
    const block = this.#block;
    while (block.rows < blockRows) {
      const next = rows.next();
      if (next.done === true) return true;
      this.#undo.mark();
      try {
        this.#read(next.value, block);
      } catch (error) {
        this.#undo.back();
        if (!(error instanceof RowError)) throw error;
        this.problems.add(error);
      }
    }
    return false;
  }

  #read(row: Row, block: EventBlock): void {
    const at = block.rows;
    const user = row.index(this.#user, this.users);
    if (user < 0) throw row.error(this.#user, "expected a user");
    const item = row.index(this.#item, this.items);
    if (item < 0) throw row.error(this.#item, "expected an item");
    block.user[at] = user;
    block.time[at] = this.#clock.read(row);
    block.columns[0]![at] = item;
    for (let i = 0; i < this.singles.length; i++) {
      block.columns[i + 1]![at] = this.singles[i]!.read(row);
    }
    for (let i = 0; i < this.spooled.length; i++) this.spooled[i]!.read(row);
    for (let i = 0; i < this.spooled.length; i++) this.spooled[i]!.keep();
    block.rows = at + 1;
  }
}
