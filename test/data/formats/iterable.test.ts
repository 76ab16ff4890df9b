import { setTimeout } from "node:timers/promises";
import test from "ava";
import { Dictionary } from "../../../src/data/dictionary.js";
import { openIterable, type Rows } from "../../../src/data/formats/iterable.js";
import { DataError, RowError } from "../../../src/errors.js";
import { drain, lenient, strict } from "./drain.js";

const visits = [
  {
    user: "u1",
    item: "p9",
    time: 1_600_000_000,
    tags: ["quiet", "cheap"],
    place: { city: "Bern" },
  },
  { user: "u2", item: 17, time: "1600000001.5", tags: [], place: { city: "" } },
  { user: 3n, item: true, time: new Date(1_600_000_002_000), tags: null, place: null },
];

async function* later(rows: readonly object[]): AsyncGenerator<object> {
  for (const row of rows) {
    await setTimeout(1);
    yield row;
  }
}

for (const [kind, rows] of [
  ["an array", visits],
  [
    "a generator",
    (function* () {
      yield* visits;
    })(),
  ],
  ["an async generator", later(visits)],
] as [string, Rows][]) {
  test(`events of ${kind} are rows`, async (t) => {
    const reader = await openIterable(rows, strict);
    t.is(reader.bytes, undefined);
    const read = await drain(reader, {
      user: "text",
      item: "text",
      time: "number",
      tags: "value",
      "place.city": "text",
    });
    t.deepEqual(read, [
      {
        user: "u1",
        item: "p9",
        time: 1_600_000_000,
        tags: ["quiet", "cheap"],
        "place.city": "Bern",
      },
      { user: "u2", item: "17", time: 1_600_000_001.5, tags: [], "place.city": undefined },
      { user: "3", item: "true", time: 1_600_000_002_000, tags: null, "place.city": undefined },
    ]);
    t.is(reader.sha256(), undefined);
  });
}

test("only fields that are moments by themselves give one", async (t) => {
  const reader = await openIterable(visits, strict);
  const read = await drain(reader, { time: "moment" });
  t.deepEqual(read, [{ time: undefined }, { time: undefined }, { time: 1_600_000_002_000 }]);
});

test("a row with an array of events is a user, and its events are rows", async (t) => {
  const rows = [
    {
      userId: "a",
      country: "CH",
      events: [
        { item: "x", rating: 1 },
        { item: "y", rating: 2 },
      ],
    },
    { userId: "b", country: "FR", events: [] },
    { userId: "c", country: "IT", events: [{ item: "x", rating: 3, country: "AT" }] },
  ];
  const reader = await openIterable(rows, { ...strict, aliases: { user: ["userId", "user_id"] } });
  t.deepEqual(
    await drain(reader, { user: "text", item: "text", rating: "number", country: "text" }),
    [
      { user: "a", item: "x", rating: 1, country: "CH" },
      { user: "a", item: "y", rating: 2, country: "CH" },
      { user: "c", item: "x", rating: 3, country: "AT" },
    ],
  );
});

test("a field that cannot be read names its row and its event", async (t) => {
  const rows = [
    { user: "a", rating: 5 },
    { user: "b", events: [{ rating: 4 }, { rating: "5O" }, { rating: Number.NaN }] },
    { user: "c", rating: { stars: 1 } },
  ];
  const read = async (accessor: "text" | "number") => {
    const messages: string[] = [];
    const reader = await openIterable(rows, strict);
    await drain(reader, {
      rating: (row, column) => {
        try {
          row[accessor](column);
        } catch (error) {
          t.true(error instanceof RowError);
          messages.push((error as RowError).message);
        }
      },
    });
    return messages;
  };
  t.deepEqual(await read("number"), [
    'rows, line 2, column "events[1].rating": expected a number, got "5O"',
    'rows, line 2, column "events[2].rating": expected a number, got NaN',
    'rows, line 3, column "rating": expected a number, got an object',
  ]);
  t.deepEqual(await read("text"), [
    'rows, line 2, column "events[2].rating": expected a text, got NaN',
    'rows, line 3, column "rating": expected a text, got an object',
  ]);
});

for (const [what, value, rule] of [
  ["a bigint past 2^53", 2n ** 53n, "expected a whole number within ±2^53"],
  ["a date that is none", new Date(Number.NaN), "expected a valid date"],
  ["an infinity", Number.POSITIVE_INFINITY, "expected a number"],
  ["a number with a tail", "12px", "expected a number"],
  ["a number out of range", "1e999", "expected a number"],
  ["a boolean", true, "expected a number"],
  ["a list", [1], "expected a number"],
] as const) {
  test(`${what} is not read as a number`, async (t) => {
    const reader = await openIterable([{ time: value }], strict);
    const error = await t.throwsAsync(drain(reader, { time: "number" }), { instanceOf: RowError });
    t.is(error.rule, rule);
  });
}

test("a row that is no object is told and passed over", async (t) => {
  const options = lenient();
  const rows = [{ item: "a" }, null, 7, ["b"], { item: "c", events: [{ item: "d" }, "e"] }];
  const reader = await openIterable(rows as object[], options);
  t.deepEqual(await drain(reader, { item: "text" }), [{ item: "a" }, { item: "d" }]);
  t.deepEqual(
    options.errors.map((error) => error.message),
    [
      "rows, line 2: expected an object, got null",
      "rows, line 3: expected an object, got 7",
      "rows, line 4: expected an object, got a list",
      'rows, line 5, column "events[1]": expected an object, got "e"',
    ],
  );
});

test("names enter a dictionary; what is absent has no index", async (t) => {
  const dictionary = new Dictionary();
  const reader = await openIterable(
    [{ item: "b" }, { item: "a" }, { item: null }, { item: "b" }],
    strict,
  );
  const read = await drain(reader, { item: (row, column) => row.index(column, dictionary) });
  t.deepEqual(read, [{ item: 0 }, { item: 1 }, { item: -1 }, { item: 0 }]);
  t.deepEqual([...dictionary.names()], ["b", "a"]);
});

test("an id that no dictionary takes is an error of its row", async (t) => {
  const dictionary = new Dictionary();
  const reader = await openIterable([{ item: "x".repeat(70_000) }], { ...strict, name: "visits" });
  await t.throwsAsync(drain(reader, { item: (row, column) => row.index(column, dictionary) }), {
    instanceOf: RowError,
    message: /^visits, line 1, column "item": an id has more than 65535 bytes, got "x{40}…"$/,
  });
});

test("a column that no row has is an error with those there are", async (t) => {
  const rows = [{ userId: "a", events: [{ item: "x" }] }];
  const reader = await openIterable(rows, { ...strict, aliases: { user: ["uid"] } });
  await t.throwsAsync(drain(reader, { user: "text", item: "text" }), {
    instanceOf: DataError,
    message:
      'rows: no row has a column "user" or "uid"; the first row has "userId", "events", "item"',
  });
  const sparse = await openIterable([{ a: 1 }, { a: 2, b: 3 }], strict);
  t.is((await drain(sparse, { a: "number", b: "number" })).length, 2);
  t.throws(() => sparse.column(0), { instanceOf: DataError, message: /columns go by name, got 0/ });
});

for (const [kind, fail] of [
  [
    "a generator",
    function* (): Generator<object> {
      yield { item: 1 };
      yield { item: 2 };
      throw new RangeError("cursor lost");
    },
  ],
  [
    "an async generator",
    async function* (): AsyncGenerator<object> {
      yield { item: 1 };
      yield { item: 2 };
      throw new RangeError("cursor lost");
    },
  ],
] as [string, () => Rows][]) {
  test(`what ${kind} throws is the cause`, async (t) => {
    const reader = await openIterable(fail(), strict);
    const error = await t.throwsAsync(drain(reader, { item: "number" }), { instanceOf: DataError });
    t.is(error.message, "rows: the iteration failed after 2 rows: cursor lost");
    t.true(error.cause instanceof RangeError);
  });
}

test("leaving early ends the iteration", async (t) => {
  let ended = 0;
  async function* endless(): AsyncGenerator<object> {
    try {
      for (let item = 0; ; item++) yield { item };
    } finally {
      await setTimeout(5);
      ended++;
    }
  }
  const reader = await openIterable(endless(), strict);
  const column = reader.column("item");
  for await (const block of reader.rows()) {
    t.is([...block].length, 2048);
    t.is(reader.column("other"), column + 1);
    break;
  }
  await reader.close();
  await reader.close();
  t.is(ended, 1);
});

test("aborting ends the wait for a row that does not come", async (t) => {
  let returned = false;
  const hanging: AsyncIterable<object> = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise(() => {}),
      return: () => {
        returned = true;
        return new Promise(() => {});
      },
    }),
  };
  const stop = new AbortController();
  const reader = await openIterable(hanging, { ...strict, signal: stop.signal });
  const reason = new Error("enough");
  const drained = drain(reader, { item: "text" });
  await setTimeout(5);
  stop.abort(reason);
  t.is(await t.throwsAsync(drained), reason);
  t.true(returned);
});

test("a long array does not hold up the event loop", async (t) => {
  const rows = Array.from({ length: 20_000 }, (_, item) => ({ item }));
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  t.is((await drain(await openIterable(rows, strict), { item: "number" })).length, 20_000);
  clearInterval(timer);
  t.true(turns > 0);
});

test("a whole number that may stand for several is no id", async (t) => {
  const reader = await openIterable([{ item: 2 ** 53 }], strict);
  await t.throwsAsync(drain(reader, { item: "text" }), {
    instanceOf: RowError,
    message: /expected a number within ±2\^53, a bigint or a text, got 9007199254740992/,
  });
});
