import test from "ava";
import fc from "fast-check";
import { collect } from "../../../src/data/collect/collect.js";
import { ConfigError, DataError, RowError } from "../../../src/errors.js";
import type { Progress } from "../../../src/progress.js";
import {
  eventsOf,
  type Fields,
  type PlainSorter,
  plainly,
  sourceOf,
  tableOf,
} from "./in-memory.js";

const visits: Fields[] = [
  {
    user: "bo",
    item: "cafe",
    time: 30,
    stars: 5,
    mood: "glad",
    tags: "wet|warm|wet",
    note: "Tea!",
  },
  { user: "al", item: "park", time: 20, stars: 1, tags: "" },
  { user: "bo", item: "park", time: 10, stars: 3.5, mood: "sad", tags: "none", note: "" },
  { user: "al", item: "zoo", time: 20, mood: "glad", tags: " warm " },
];
const features = {
  stars: { kind: "ordinal", column: "stars", min: 1, max: 5 },
  tags: { kind: "bag", column: "tags", none: ["none"] },
  mood: { kind: "categorical", column: "mood" },
  note: { kind: "text", column: "note" },
} as const;

test("encodes events, each kind of feature in its own way", async (t) => {
  const collected = await collect(sourceOf({ events: visits, mapping: { features } }), plainly());
  t.is(collected.events, 4);
  t.is(collected.clock, "time");
  t.deepEqual([...collected.users.names()], ["bo", "al"]);
  t.deepEqual(collected.items.ids, ["cafe", "park", "zoo"]);
  t.deepEqual([...collected.items.counts], [1, 2, 1]);
  t.deepEqual(eventsOf(collected), [
    {
      user: "bo",
      item: "cafe",
      time: 30,
      stars: 5,
      mood: "glad",
      tags: ["wet", "warm"],
      note: "Tea!",
    },
    { user: "al", item: "park", time: 20, stars: 1, mood: undefined, tags: [], note: "" },
    { user: "bo", item: "park", time: 10, stars: 3.5, mood: "sad", tags: [], note: "" },
    { user: "al", item: "zoo", time: 20, stars: undefined, mood: "glad", tags: ["warm"], note: "" },
  ]);
  t.deepEqual(collected.features, [
    { name: "stars", kind: "ordinal", of: "event", size: 3, missing: 1, longest: 1 },
    { name: "tags", kind: "bag", of: "event", size: 2, missing: 2, longest: 2 },
    { name: "mood", kind: "categorical", of: "event", size: 2, missing: 1, longest: 1 },
    { name: "note", kind: "text", of: "event", size: 0, missing: 3, longest: 1 },
  ]);
  t.deepEqual(collected.vocabularies, [
    { feature: "stars", values: Float64Array.of(1, 3.5, 5), counts: Float64Array.of(1, 1, 1) },
    { feature: "tags", values: ["wet", "warm"], counts: Float64Array.of(1, 2) },
    { feature: "mood", values: ["glad", "sad"], counts: Float64Array.of(2, 1) },
  ]);
  t.deepEqual([...collected.remaps[1]!], [2, 0, 1]);
  t.deepEqual([collected.remaps[0], collected.remaps[2]], [undefined, undefined]);
});

const places: Fields[] = [
  { id: "zoo", name: " Zoo\n", kinds: "animals|outside", price: 12 },
  { id: "attic", name: "Attic", kinds: "inside|dusty", price: 3 },
  { id: "park", name: " ", kinds: null, price: 0.5 },
  { id: "zoo", name: "Another zoo", kinds: "fences", price: 99 },
];
const itemsMapping = {
  title: "name",
  features: {
    kinds: { kind: "bag", column: "kinds" },
    price: { kind: "ordinal", column: "price" },
    about: { kind: "text", column: "about" },
  },
} as const;

test("puts the items table first, then items of events", async (t) => {
  const { items, features, vocabularies, remaps } = await collect(
    sourceOf({ events: visits, items: places, itemsMapping }),
    plainly(),
  );
  t.deepEqual(items, {
    ids: ["zoo", "attic", "park", "cafe"],
    titles: ["Zoo", "Attic", undefined, undefined],
    columns: [
      {
        feature: "kinds",
        kind: "bag",
        offsets: Int32Array.of(0, 2, 4, 4, 4),
        values: Int32Array.of(0, 1, 2, 3),
      },
      { feature: "price", kind: "single", indices: Int32Array.of(2, 1, 0, -1) },
      { feature: "about", kind: "text", texts: ["", "", "", ""] },
    ],
    counts: Float64Array.of(1, 0, 2, 1),
    withoutMetadata: 1,
    repeated: 1,
  });
  t.deepEqual(features, [
    { name: "kinds", kind: "bag", of: "item", size: 4, missing: 2, longest: 2 },
    { name: "price", kind: "ordinal", of: "item", size: 3, missing: 1, longest: 1 },
    { name: "about", kind: "text", of: "item", size: 0, missing: 4, longest: 1 },
  ]);
  t.deepEqual(vocabularies, [
    {
      feature: "kinds",
      values: ["animals", "outside", "inside", "dusty"],
      counts: Float64Array.of(1, 1, 0, 0),
    },
    { feature: "price", values: Float64Array.of(0.5, 3, 12), counts: Float64Array.of(2, 0, 1) },
  ]);
  t.deepEqual(remaps, [undefined]);
});

test("a bag of very many values is read in a moment", async (t) => {
  const tags = Array.from({ length: 400_000 }, (_, i) => `t${i % 300_000}`).join("|");
  const events = [{ user: "al", item: "zoo", time: 1, tags }];
  const began = performance.now();
  const { features: found } = await collect(
    sourceOf({ events, mapping: { features: { tags: features.tags } } }),
    plainly(),
  );
  t.true(performance.now() - began < 10_000); // a minute, were every value compared with every other
  t.like(found, [{ name: "tags", size: 300_000, longest: 300_000 }]);
});

test("a catalogue of what was seen drops items, and the values only they had", async (t) => {
  const collected = await collect(
    sourceOf({ events: visits, items: places, itemsMapping, catalogue: "seen" }),
    plainly(),
  );
  const { items, vocabularies, remaps, features } = collected;
  t.deepEqual(items.ids, ["zoo", "park", "cafe"]);
  t.deepEqual(items.titles, ["Zoo", undefined, undefined]);
  t.deepEqual([...items.counts], [1, 2, 1]);
  t.deepEqual([...remaps[0]!], [0, -1, 1, 2]);
  t.deepEqual(items.columns[0], {
    feature: "kinds",
    kind: "bag",
    offsets: Int32Array.of(0, 2, 2, 2),
    values: Int32Array.of(0, 1),
  });
  t.deepEqual(items.columns[1], {
    feature: "price",
    kind: "single",
    indices: Int32Array.of(1, 0, -1),
  });
  t.deepEqual(
    vocabularies.map(({ values }) => [...values]),
    [
      ["animals", "outside"],
      [0.5, 12],
    ],
  );
  t.deepEqual(
    features.map(({ size }) => size),
    [2, 2, 0],
  );
  t.deepEqual(
    eventsOf(collected).map(({ item }) => item),
    ["cafe", "park", "park", "zoo"],
  );
});

test("a row that is skipped leaves no user, item or value behind", async (t) => {
  const bad = [
    { user: "phantom", item: "ghost", time: 0.5, stars: 4 },
    { user: "phantom", item: null, time: 1 },
    { user: null, item: "ghost", time: 1 },
    { user: "phantom", item: "ghost", time: 1, stars: 6 },
    { user: "phantom", item: "ghost", time: 1, stars: 2, tags: 7 },
    "bad" as const,
  ];
  const events = visits.flatMap((visit) => [...bad, visit]);
  const mapping = { features };
  const clean = await collect(sourceOf({ events: visits, mapping }), plainly());
  const skipped = await collect(sourceOf({ events, mapping }), plainly({ onError: "skip" }));
  const { dropped, ...rest } = skipped;
  t.deepEqual(eventsOf(skipped), eventsOf(clean));
  t.deepEqual([...rest.users.names()], [...clean.users.names()]);
  t.deepEqual(rest.items, clean.items);
  t.deepEqual(rest.features, clean.features);
  t.deepEqual(rest.vocabularies, clean.vocabularies);
  t.deepEqual(
    dropped.map(({ rule, rows }) => [rule, rows]),
    [
      ['column "time": expected whole milliseconds', 4],
      ['column "item": expected an item', 4],
      ['column "user": expected a user', 4],
      ['column "stars": expected a number from 1 to 5', 4],
      ['column "tags": expected a text or a list of texts', 4],
      ["expected a record", 4],
    ],
  );
  t.is(
    dropped[3]!.first,
    'events.csv, line 4, column "stars": expected a number from 1 to 5, got 6',
  );

  const error = await t.throwsAsync(collect(sourceOf({ events, mapping }), plainly()));
  t.true(error instanceof RowError);
  t.is(
    error.message,
    '/somewhere/events.csv, line 1, column "time": expected whole milliseconds, got 0.5',
  );
});

test("a bad row of the items table leaves its item to the events", async (t) => {
  const items = [{ id: "zoo", name: "Zoo", kinds: 3 }, { id: null }, ...places.slice(1, 3)];
  const source = sourceOf({ events: visits, items, itemsMapping });
  const { items: found, dropped } = await collect(source, plainly({ onError: "skip" }));
  t.deepEqual(found.ids, ["attic", "park", "cafe", "zoo"]);
  t.is(found.withoutMetadata, 2);
  t.deepEqual(
    dropped.map(({ rule }) => rule),
    ['column "kinds": expected a text or a list of texts', 'column "id": expected an item'],
  );
});

test("nothing left is an error, under either policy", async (t) => {
  for (const onError of ["fail", "skip"] as const) {
    await t.throwsAsync(collect(sourceOf({ events: [] }), plainly({ onError })), {
      instanceOf: DataError,
      message: "Test data: no events that can be used",
    });
  }
  await t.throwsAsync(
    collect(sourceOf({ events: [{ user: "al" }] }), plainly({ onError: "skip" })),
    {
      instanceOf: DataError,
      message:
        'Test data: no events that can be used; the first problem: events.csv, line 1, column "item": expected an item',
    },
  );
  const items = [{ id: null }];
  await t.throwsAsync(collect(sourceOf({ events: visits, items }), plainly({ onError: "skip" })), {
    message: /^Test data: no items that can be used; the first problem: items.csv, line 1/,
  });
});

test("positions take the place of times, and the order of the file that of both", async (t) => {
  const events = [
    { user: "al", item: "a", place: 7 },
    { user: "al", item: "b", place: -2 },
  ];
  const placed = sourceOf({ events, mapping: { time: undefined, position: "place" } });
  const byPosition = await collect(placed, plainly());
  t.is(byPosition.clock, "position");
  t.deepEqual(
    eventsOf(byPosition).map(({ time }) => time),
    [7, -2],
  );
  const byFile = await collect(sourceOf({ events, mapping: { time: undefined } }), plainly());
  t.is(byFile.clock, "position");
  t.deepEqual(
    eventsOf(byFile).map(({ time }) => time),
    [0, 1],
  );
  const halves = sourceOf({
    events: [{ user: "al", item: "a", place: 0.5 }],
    mapping: { time: undefined, position: "place" },
  });
  await t.throwsAsync(collect(halves, plainly()), {
    message: /column "place": expected a whole number/,
  });
});

test("an ordinal feature has at most 10,000 values, whatever the policy", async (t) => {
  const events = Array.from({ length: 10_001 }, (_, i) => ({
    user: "al",
    item: "a",
    time: i,
    size: i,
  }));
  const mapping = { features: { size: { kind: "ordinal", column: "size" } } } as const;
  const most = await collect(sourceOf({ events: events.slice(1), mapping }), plainly());
  t.is(most.features[0]!.size, 10_000);
  t.is(most.remaps[1], undefined);
  await t.throwsAsync(collect(sourceOf({ events, mapping }), plainly({ onError: "skip" })), {
    instanceOf: DataError,
    message: /line 10001, column "size": expected at most 10000 different numbers/,
  });
});

test("feature names must fit the files of a prepared folder", async (t) => {
  const declared = (...names: string[]) =>
    Object.fromEntries(
      names.map((name) => [name, { kind: "categorical", column: "mood" } as const]),
    );
  const attempt = (events: string[], items: string[] = []) =>
    collect(
      sourceOf({
        events: visits,
        items: places,
        mapping: { features: declared(...events) },
        itemsMapping: { features: declared(...items) },
      }),
      plainly(),
    );
  await t.notThrowsAsync(attempt(["mood", "mood2", "moodOf_day"], ["kind"]));
  for (const name of ["Mood", "2mood", "", "mood-of-day", "../mood", "__proto__", "mööd"]) {
    await t.throwsAsync(
      attempt([name]),
      { instanceOf: ConfigError, message: /must be named/ },
      name,
    );
  }
  for (const name of [
    "id",
    "title",
    "events",
    "item",
    "time",
    "position",
    "offset",
    "length",
    "user",
  ]) {
    await t.throwsAsync(attempt([], [name]), {
      instanceOf: ConfigError,
      message: /keeps for itself/,
    });
  }
  await t.throwsAsync(attempt(["mood"], ["mood"]), {
    instanceOf: ConfigError,
    message: /for events and for items/,
  });
  await t.throwsAsync(attempt(["mood", "mooD"]), {
    instanceOf: ConfigError,
    message: /capitals only/,
  });
});

test("several files are one table", async (t) => {
  const [first, second] = [visits.slice(0, 1), visits.slice(1)];
  const closed = { closed: 0 };
  const source = sourceOf({ events: first, mapping: { features } });
  const further = [tableOf("more.csv", second, source.events.mapping, closed).open];
  const parts = await collect({ ...source, events: { ...source.events, further } }, plainly());
  const whole = await collect(sourceOf({ events: visits, mapping: { features } }), plainly());
  t.deepEqual(eventsOf(parts), eventsOf(whole));
  t.deepEqual(parts.vocabularies, whole.vocabularies);
  t.deepEqual(
    parts.files.map(({ name, bytes }) => [name, bytes]),
    [
      ["events.csv", 1],
      ["more.csv", 3],
    ],
  );
  t.is(closed.closed, 1);
});

test("reports progress, and stops at a signal with everything closed", async (t) => {
  const told: Progress[] = [];
  const onProgress = (progress: Progress) => told.push(progress);
  await collect(sourceOf({ events: visits, items: places }), plainly({ onProgress }));
  t.deepEqual(
    [...new Set(told.map(({ task }) => task))],
    ["reading items.csv", "reading events.csv"],
  );

  const stop = new AbortController();
  const options = plainly({
    signal: stop.signal,
    onProgress: () => stop.abort(new Error("enough")),
  });
  await t.throwsAsync(collect(sourceOf({ events: visits, mapping: { features } }), options), {
    message: "enough",
  });
  t.is(options.made.length, 3);
  t.true(options.made.every(({ closed }) => closed));
});

test("many rows come through in blocks as they were", async (t) => {
  const events = Array.from({ length: 150_000 }, (_, i) => ({
    user: i % 999,
    item: i % 77,
    time: i,
  }));
  const collected = await collect(sourceOf({ events }), plainly());
  t.is(collected.events, events.length);
  t.deepEqual(
    (collected.sorter as PlainSorter).rows.map(({ user, columns, time }) => [
      user,
      columns[0],
      time,
    ]),
    events.map(({ user, item, time }) => [user, item, time]),
  );
  t.is(
    collected.items.counts.reduce((sum, count) => sum + count),
    events.length,
  );
});

test("what is encoded can be decoded, whatever the rows (property)", async (t) => {
  const event = fc.record({
    user: fc.stringMatching(/^[a-e]$/),
    item: fc.stringMatching(/^[f-p]$/),
    time: fc.integer({ min: -1e12, max: 1e12 }),
    stars: fc.option(fc.constantFrom(1, 1.5, 2, 5), { nil: undefined }),
    mood: fc.option(fc.string({ minLength: 1, maxLength: 3 }), { nil: undefined }),
    tags: fc.uniqueArray(fc.stringMatching(/^[x-z]{1,2}$/)),
    note: fc.string(),
  });
  const catalogue = fc.constantFrom("all" as const, "seen" as const);
  const items = fc.uniqueArray(fc.stringMatching(/^[f-p]$/), { minLength: 1 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(event, { minLength: 1 }),
      items,
      catalogue,
      async (events, ids, catalogue) => {
        const source = sourceOf({
          events,
          items: ids.map((id) => ({ id })),
          catalogue,
          mapping: { features },
        });
        const collected = await collect(source, plainly());
        t.deepEqual(eventsOf(collected), events);
        const expected = new Set([...ids, ...events.map(({ item }) => item)]);
        const seen = new Set(events.map(({ item }) => item));
        t.deepEqual(
          collected.items.ids,
          [...expected].filter((id) => catalogue === "all" || seen.has(id)),
        );
      },
    ),
  );
});
