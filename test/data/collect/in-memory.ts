/** A source whose rows are objects, and the plainest sorter and spool that do. */

import type { CollectOptions } from "../../../src/data/collect/collect.js";
import type { Collected } from "../../../src/data/collect/collected.js";
import type { Row, RowReader } from "../../../src/data/formats/row.js";
import type { EventBlock, EventSorter, SortedBlock } from "../../../src/data/sort/sorter.js";
import type { Spool } from "../../../src/data/sort/spool.js";
import type { EventsMapping, ItemsMapping, Source, Table } from "../../../src/data/source.js";
import { RowError } from "../../../src/errors.js";

export type Fields = Record<string, unknown>;

/** A reader of objects; `bad` in place of one is a record that cannot be read. */
export function tableOf<Mapping>(
  name: string,
  rows: readonly (Fields | "bad")[],
  mapping: Mapping,
  opened: { closed: number } = { closed: 0 },
): Table<Mapping> {
  return {
    mapping,
    open: async ({ onError }) => {
      const columns: (string | number)[] = [];
      const reader: RowReader = {
        name: `/somewhere/${name}`,
        bytes: rows.length,
        bytesRead: 0,
        column: (column) => columns.push(column) - 1,
        async *rows() {
          for (let start = 0; start < rows.length; start += 3) yield block(start);
        },
        sha256: () => name.padEnd(64, "0"),
        close: async () => void opened.closed++,
      };
      return reader;

      function* block(start: number): Generator<Row> {
        for (const [i, fields] of rows.slice(start, start + 3).entries()) {
          const line = start + i + 1;
          if (fields === "bad")
            onError(new RowError(reader.name, line, undefined, "expected a record"));
          else yield rowOf(fields, line);
        }
      }

      function rowOf(fields: Fields, line: number): Row {
        const field = (column: number) => fields[columns[column]!] ?? undefined;
        const error = (column: number, rule: string) =>
          new RowError(
            reader.name,
            line,
            String(columns[column]),
            rule,
            JSON.stringify(field(column)),
          );
        const text = (column: number) =>
          field(column) === undefined ? undefined : String(field(column));
        return {
          line,
          text,
          error,
          number: (column) => {
            const value = field(column);
            if (value === undefined || typeof value === "number") return value;
            throw error(column, "expected a number");
          },
          index: (column, dictionary) => {
            const name = text(column);
            return name === undefined ? -1 : dictionary.index(name);
          },
          value: field,
        };
      }
    },
  };
}

interface Tables {
  events: readonly (Fields | "bad")[];
  items?: readonly (Fields | "bad")[];
  mapping?: Partial<EventsMapping>;
  itemsMapping?: Partial<ItemsMapping>;
  catalogue?: Source["catalogue"];
}

/** Columns `user`, `item`, `time` (ms) and `id`, unless mapped otherwise. */
export function sourceOf({
  events,
  items,
  mapping,
  itemsMapping,
  catalogue = "all",
}: Tables): Source {
  const time = { column: "time", unit: "milliseconds" } as const;
  return {
    name: "test",
    title: "Test data",
    catalogue,
    events: tableOf("events.csv", events, {
      user: "user",
      item: "item",
      time,
      features: {},
      ...mapping,
    }),
    items: items && tableOf("items.csv", items, { id: "id", features: {}, ...itemsMapping }),
  };
}

/** Keeps all rows and sorts them with the language's own sort. */
export class PlainSorter implements EventSorter {
  readonly rows: { user: number; time: number; columns: number[]; sourceRow: number }[] = [];
  closed = false;

  async append({ rows, user, time, columns }: EventBlock): Promise<void> {
    for (let i = 0; i < rows; i++) {
      this.rows.push({
        user: user[i]!,
        time: time[i]!,
        columns: columns.map((column) => column[i]!),
        sourceRow: this.rows.length,
      });
    }
  }

  async *sorted(): AsyncGenerator<SortedBlock> {
    const rows = this.rows.toSorted(
      (a, b) => a.user - b.user || a.time - b.time || a.sourceRow - b.sourceRow,
    );
    yield {
      rows: rows.length,
      user: Int32Array.from(rows, ({ user }) => user),
      time: Float64Array.from(rows, ({ time }) => time),
      columns: rows[0]!.columns.map((_, i) => Int32Array.from(rows, ({ columns }) => columns[i]!)),
      sourceRow: Float64Array.from(rows, ({ sourceRow }) => sourceRow),
    };
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

/** Keeps values in an array. */
export class PlainSpool implements Spool {
  readonly values: (string | number[])[] = [];
  closed = false;

  constructor(readonly kind: Spool["kind"]) {}

  get rows(): number {
    return this.values.length;
  }

  get bytes(): number {
    return this.values.reduce((sum, value) => sum + encoded(value).length, 0);
  }

  append(value: string | readonly number[]): void {
    this.values.push(typeof value === "string" ? value : [...value]);
  }

  async flush(): Promise<void> {}

  lengths(rows: Float64Array, count: number, into: Float64Array): void {
    for (let i = 0; i < count; i++) into[i] = encoded(this.values[rows[i]!]!).length;
  }

  async read(rows: Float64Array, count: number): Promise<Buffer> {
    return Buffer.concat(Array.from(rows.subarray(0, count), (row) => encoded(this.values[row]!)));
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

function encoded(value: string | number[]): Buffer {
  return typeof value === "string"
    ? Buffer.from(value)
    : Buffer.from(Int32Array.from(value).buffer);
}

/** Options with plain sorters and spools, which are noted. */
export function plainly(options: Partial<CollectOptions> = {}) {
  const made: (PlainSorter | PlainSpool)[] = [];
  const note = <T extends PlainSorter | PlainSpool>(resource: T) => {
    made.push(resource);
    return resource;
  };
  return {
    made,
    openSorter: async () => note(new PlainSorter()),
    openSpool: async (kind: Spool["kind"]) => note(new PlainSpool(kind)),
    ...options,
  };
}

/** The events as a reader of the prepared folder would see them, in source order. */
export function eventsOf({
  sorter,
  remaps,
  features,
  vocabularies,
  items,
  users,
  spools,
}: Collected) {
  const singles = features.filter(
    ({ of, kind }) => of === "event" && kind !== "bag" && kind !== "text",
  );
  const namesOf = (feature: string) => vocabularies.find((one) => one.feature === feature)!.values;
  return (sorter as PlainSorter).rows.map(({ user, time, columns, sourceRow }) => {
    const [item, ...indices] = columns.map((index, i) =>
      index < 0 ? index : (remaps[i]?.[index] ?? index),
    );
    const event: Fields = { user: users.name(user), item: items.ids[item!], time };
    for (const [i, { name }] of singles.entries()) event[name] = namesOf(name)[indices[i]!];
    for (const [name, spool] of spools) {
      const value = (spool as PlainSpool).values[sourceRow]!;
      event[name] = typeof value === "string" ? value : value.map((index) => namesOf(name)[index]);
    }
    return event;
  });
}
