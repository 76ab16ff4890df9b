/** What the tests of sorters share: event tables, a naive sort, and reading a sorter to its end. */
import fc from "fast-check";
import type { EventSorter } from "../../../src/data/sort/sorter.js";

export interface Event {
  user: number;
  time: number;
  columns: number[];
}

/** Tables with ties, runs in order, negative times and gaps between the users. */
export const anyEvents = (columns: number): fc.Arbitrary<Event[]> =>
  fc
    .record({
      users: fc.constantFrom(1, 2, 40),
      span: fc.constantFrom(1, 5, 1000, 6.3e11, 2 ** 53),
      least: fc.constantFrom(0, -3, -(2 ** 53)),
      rows: fc.nat(400),
      sorted: fc.boolean(),
    })
    .chain(({ users, span, least, rows, sorted }) =>
      fc
        .array(
          fc
            .tuple(
              fc.nat(users - 1),
              fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
              fc.array(fc.integer({ min: -1 }), { minLength: columns, maxLength: columns }),
            )
            .map(([user, share, columns]) => {
              return { user, time: Math.floor(share * span) + least, columns };
            }),
          { minLength: rows, maxLength: rows },
        )
        .map((events) => (sorted ? naiveOrder(events).map((row) => events[row]!) : events)),
    );

/** Source rows in the order of (user, time, source row). */
export function naiveOrder(events: readonly Event[]): number[] {
  return events
    .map((_, row) => row)
    .sort((a, b) => {
      const [left, right] = [events[a]!, events[b]!];
      return left.user - right.user || compare(left.time, right.time) || a - b;
    });
}

const compare = (a: number, b: number) => (a < b ? -1 : a > b ? 1 : 0);

/** Appends the events in blocks of `blockRows`, one buffer for all of them. */
export async function fill(sorter: EventSorter, events: readonly Event[], blockRows: number) {
  const columns = events[0]?.columns.length ?? 0;
  const block = {
    rows: 0,
    user: new Int32Array(blockRows),
    time: new Float64Array(blockRows),
    columns: Array.from({ length: columns }, () => new Int32Array(blockRows)),
  };
  for (let start = 0; start < events.length; start += block.rows) {
    block.rows = Math.min(blockRows, events.length - start);
    for (let i = 0; i < block.rows; i++) {
      const event = events[start + i]!;
      block.user[i] = event.user;
      block.time[i] = event.time;
      for (let c = 0; c < columns; c++) block.columns[c]![i] = event.columns[c]!;
    }
    await sorter.append(block);
  }
}

/** All rows of a sorter, and the source row of each. */
export async function drain(sorter: EventSorter): Promise<{ rows: number[]; events: Event[] }> {
  const rows: number[] = [];
  const events: Event[] = [];
  for await (const block of sorter.sorted()) {
    for (let i = 0; i < block.rows; i++) {
      rows.push(block.sourceRow[i]!);
      const columns = block.columns.map((column) => column[i]!);
      events.push({ user: block.user[i]!, time: block.time[i]!, columns });
    }
  }
  return { rows, events };
}
