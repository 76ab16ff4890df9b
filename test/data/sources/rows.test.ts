/** Sources over what JavaScript code has in hand. */
import { Int32, Table, TimestampSecond, tableToIPC, Utf8, vectorFromArray } from "apache-arrow";
import test from "ava";
import type { Source } from "../../../src/data/source.js";
import { fromArrow } from "../../../src/data/sources/arrow.js";
import { fromIterable } from "../../../src/data/sources/iterable.js";
import { ConfigError, UsageError } from "../../../src/errors.js";
import { drain, type Read, strict } from "../formats/drain.js";

/** Events with what the mapping says of them. */
async function eventsOf({ events }: Source): Promise<unknown[]> {
  const { user, item, time } = events.mapping;
  const reader = await events.open(strict);
  const columns: Record<string | number, Read> = {};
  for (const name of [user, item]) columns[name] = "text";
  if (time !== undefined) {
    columns[time.column] = (row, column) => row.moment?.(column) ?? row.number(column);
  }
  const rows = await drain(reader, columns);
  return rows.map((row) => Object.values(row));
}

const visits = [
  ["u1", "p9", 1_600_000_000],
  ["u2", "p9", 1_600_000_010],
] as const;

test("the columns have names that go without saying", async (t) => {
  const rows = visits.map(([userId, item, timestamp]) => ({ userId, item, timestamp }));
  const table = new Table({
    user_id: vectorFromArray(["u1", "u2"], new Utf8()),
    item_id: vectorFromArray(["p9", "p9"], new Utf8()),
    time: vectorFromArray([1_600_000_000, 1_600_000_010], new Int32()),
  });
  for (const source of [fromIterable(rows), fromArrow(table), fromArrow(tableToIPC(table))]) {
    t.deepEqual(source.events.mapping, {
      user: "user",
      item: "item",
      time: { column: "time", unit: "seconds" },
      features: {},
    });
    t.deepEqual(await eventsOf(source), visits as unknown);
  }
});

test("a name that was given is the only one", async (t) => {
  const rows = visits.map(([userId, item, time]) => ({ userId, item, time }));
  await t.throwsAsync(eventsOf(fromIterable(rows, { user: "user" })), {
    message: /no row has a column "user";/,
  });
});

test("users with their events, and moments that need no unit", async (t) => {
  async function* readVisits() {
    yield {
      userId: "u1",
      events: [{ item: "p9", time: new Date(1_600_000_000_000), category: "cafe" }],
    };
    yield {
      userId: "u2",
      events: [{ item: "p9", time: new Date(1_600_000_010_000), category: "bar" }],
    };
  }
  const source = fromIterable(readVisits(), { features: { category: "categorical" } });
  t.deepEqual(await eventsOf(source), [
    ["u1", "p9", 1_600_000_000_000],
    ["u2", "p9", 1_600_000_010_000],
  ]);
  const table = new Table({
    user: vectorFromArray(["u1"], new Utf8()),
    item: vectorFromArray(["p9"], new Utf8()),
    time: vectorFromArray([1_600_000_000_000], new TimestampSecond()),
  });
  t.deepEqual(await eventsOf(fromArrow(table)), [["u1", "p9", 1_600_000_000_000]]);
});

test("features are a kind, or say more", (t) => {
  const { events, items } = fromIterable([], {
    features: {
      rating: { kind: "ordinal", column: "stars", min: 1, max: 5 },
      place: "id",
      category: "categorical",
    },
    items: { rows: [], title: "name", features: { tags: "bag" } },
  });
  t.deepEqual(events.mapping.features, {
    rating: { kind: "ordinal", column: "stars", min: 1, max: 5 },
    place: { kind: "id", column: "place" },
    category: { kind: "categorical", column: "category" },
  });
  t.deepEqual(items?.mapping, {
    id: "id",
    title: "name",
    features: { tags: { kind: "bag", column: "tags" } },
  });
  t.throws(() => fromIterable([], { features: { x: "number" as "id" } }), {
    instanceOf: ConfigError,
    message: 'feature "x": a kind is id, categorical, ordinal, bag or text, got "number"',
  });
});

test("time, position or the order of the rows", (t) => {
  const clock = (options: Parameters<typeof fromIterable>[1]) => {
    const { time, position } = fromIterable([], options).events.mapping;
    return { time, position };
  };
  t.deepEqual(clock({ position: "rank" }), { time: undefined, position: "rank" });
  t.deepEqual(clock({ time: false }), { time: undefined, position: undefined });
  t.deepEqual(clock({ time: "at" }).time, { column: "at", unit: "seconds" });
  const iso = { column: "at", unit: "iso" } as const;
  t.deepEqual(clock({ time: iso }).time, iso);
  t.throws(() => clock({ time: "at", position: "rank" }), { instanceOf: ConfigError });
});

test("items are a table of their own", async (t) => {
  const items = { rows: [{ itemId: "p9", name: "Café" }], title: "name" };
  const table = fromIterable([], { items }).items!;
  t.deepEqual(await drain(await table.open(strict), { id: "text", name: "text" }), [
    { id: "p9", name: "Café" },
  ]);
  const data = new Table({ id: vectorFromArray(["p9"], new Utf8()) });
  const other = fromArrow(data, { items: { data } }).items!;
  t.deepEqual(await drain(await other.open(strict), { id: "text" }), [{ id: "p9" }]);
});

test("an array can be read again, a generator cannot", async (t) => {
  const rows = [{ user: "a", item: "b", time: 1 }];
  const again = fromIterable(rows);
  t.deepEqual(await eventsOf(again), await eventsOf(again));
  const once = fromIterable(
    (function* () {
      yield* rows;
    })(),
  );
  t.is((await eventsOf(once)).length, 1);
  await t.throwsAsync(eventsOf(once), {
    instanceOf: UsageError,
    message: /the rows have been read/,
  });
});
