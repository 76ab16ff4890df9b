import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { prepare } from "../../src/data/prepare.js";
import { PreparedData } from "../../src/data/prepared/prepared-data.js";
import type { Source } from "../../src/data/source.js";
import { amazon, fromIterable, googleLocal, movielens } from "../../src/data/sources/index.js";
import { ConfigError, DataError, UsageError } from "../../src/errors.js";
import { sourceOf } from "./collect/in-memory.js";
import { copyOf, type Fixture, fixture, temporaryFolder } from "./sources/raw-files.js";

const readers: Record<Fixture, (folder: string) => Promise<Source>> = {
  "movielens-csv": movielens,
  "movielens-dat": movielens,
  "amazon-2014": amazon,
  "amazon-2018": amazon,
  "amazon-2023": amazon,
  "google-local": googleLocal,
};
const layouts = Object.keys(readers) as Fixture[];

/** Every file of a folder and what is in it. */
function contents(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder).map((name) => [
      name,
      createHash("sha256")
        .update(readFileSync(join(folder, name)))
        .digest("hex"),
    ]),
  );
}

test("a prepared folder holds the events by user and time, and what they mean", async (t) => {
  const out = join(temporaryFolder(t), "ml");
  const manifest = await prepare(await movielens(fixture("movielens-csv")), { out });
  t.deepEqual(manifest.counts, {
    events: 8,
    users: 3,
    items: 7,
    itemsWithoutEvents: 1,
    itemsWithoutMetadata: 1,
    repeatedItems: 1,
  });
  t.deepEqual(manifest.clock, {
    kind: "time",
    first: 999_999_999_000,
    last: 1_000_000_300_000,
    tiedEvents: 3,
    usersWithTiedLast: 1,
  });
  t.regex(manifest.source.licence!, /GroupLens/);
  t.regex(manifest.source.citation!, /Harper/);
  t.deepEqual(JSON.parse(readFileSync(join(out, "manifest.json"), "utf8")), manifest);

  using data = await PreparedData.open(out);
  const ratings = data.vocabulary("rating");
  const events = Array.from({ length: data.events }, (_, row) => [
    data.itemId(data.column("item")[row]!),
    ratings[data.column("rating")[row]!],
  ]);
  t.deepEqual([...data.userOffsets], [0, 3, 6, 8]);
  t.deepEqual(events, [
    ["20", 3.5],
    ["10", 4],
    ["30", 0.5],
    ["40", 5],
    ["10", 4],
    ["60", 2.5],
    ["20", 4],
    ["99", 3.5],
  ]);
});

for (const layout of layouts) {
  test(`${layout}: the bytes hang on the input alone, not on folder or sorter`, async (t) => {
    const folder = temporaryFolder(t);
    const source = await readers[layout](fixture(layout));
    const copy = await readers[layout](copyOf(t, layout));
    await prepare(source, { out: join(folder, "one") });
    await prepare(copy, { out: join(folder, "two"), sorter: "duckdb" });
    t.deepEqual(contents(join(folder, "two")), contents(join(folder, "one")));
  });
}

test("both sorters give the same bytes, whatever the rows (property)", async (t) => {
  const event = fc.record({
    user: fc.stringMatching(/^[a-d]$/),
    item: fc.stringMatching(/^[e-j]$/),
    time: fc.integer({ min: -3, max: 3 }),
    stars: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
    note: fc.string(),
  });
  const features = {
    stars: { kind: "ordinal", column: "stars" },
    note: { kind: "text", column: "note" },
  } as const;
  const folder = temporaryFolder(t);
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(event, { minLength: 1, maxLength: 50 }), async (events) => {
      const source = sourceOf({ events, mapping: { features } });
      const [memory, duckdb] = [join(folder, `memory-${run}`), join(folder, `duckdb-${run++}`)];
      await prepare(source, { out: memory, sorter: "memory" });
      await prepare(source, { out: duckdb, sorter: "duckdb" });
      t.deepEqual(contents(duckdb), contents(memory));
    }),
    { numRuns: 10 },
  );
});

test("the order of users' lines among each other does not matter, that of ties does", async (t) => {
  const folder = temporaryFolder(t);
  const rows = [
    { user: "al", item: "a", time: 3 },
    { user: "bo", item: "b", time: 3 },
    { user: "al", item: "c", time: 3 },
    { user: "bo", item: "a", time: 1 },
  ];
  const items = ["a", "b", "c"].map((id) => ({ id }));
  const eventsOf = async (name: string, order: readonly number[]) => {
    const out = join(folder, name);
    await prepare(sourceOf({ events: order.map((row) => rows[row]!), items }), { out });
    return contents(out)["events.arrow"];
  };
  const first = await eventsOf("first", [0, 1, 2, 3]);
  t.is(await eventsOf("interleaved", [0, 3, 2, 1]), first);
  t.not(await eventsOf("ties", [2, 1, 0, 3]), first);
});

/** Files that break a layout, what they break with, and what the message must say. */
const damages: [string, Fixture, string, (whole: Buffer) => Buffer | string, RegExp][] = [
  [
    "a column that is not there",
    "movielens-csv",
    "ratings.csv",
    replaced("rating,time", "stars,time"),
    /ratings.csv: no column "rating"; there are "userId", "movieId", "stars"/,
  ],
  [
    "a letter in a number",
    "movielens-csv",
    "ratings.csv",
    replaced("3.5,1000000000", "3.S,1000000000"),
    /ratings.csv, line 3, column "rating": expected a number, got "3.S"/,
  ],
  [
    "a rating out of range",
    "movielens-csv",
    "ratings.csv",
    replaced("7,30,0.5", "7,30,50"),
    /ratings.csv, line 4, column "rating": expected a number from 0.5 to 5/,
  ],
  [
    "a column that comes twice",
    "movielens-csv",
    "movies.csv",
    replaced("title,genres", "title,title"),
    /movies.csv, line 1: columns 2 and 3 have the same name/,
  ],
  [
    "a time that is missing",
    "movielens-csv",
    "ratings.csv",
    replaced(",999999999", ","),
    /ratings.csv, line 9, column "timestamp": expected a time/,
  ],
  [
    "a line too short",
    "movielens-csv",
    "ratings.csv",
    replaced("3,40,5.0,1000000300", "3,40"),
    /ratings.csv, line 5.*expected 4 fields/,
  ],
  [
    "NUL bytes",
    "movielens-csv",
    "movies.csv",
    replaced("Western", "West\0rn"),
    /movies.csv, line 6.*NUL/,
  ],
  [
    "invalid UTF-8",
    "movielens-csv",
    "movies.csv",
    (whole) => Buffer.from(whole.toString(), "latin1"),
    /movies.csv, line 5.*UTF-8/,
  ],
  [
    "a line of 10 MB",
    "movielens-csv",
    "movies.csv",
    replaced("Western", "x".repeat(10e6)),
    /movies.csv, line 6.*at most/,
  ],
  [
    "nothing",
    "movielens-csv",
    "ratings.csv",
    () => "",
    /ratings.csv: expected a line that names the columns, got an empty file/,
  ],
  [
    "no rows",
    "movielens-csv",
    "ratings.csv",
    () => "userId,movieId,rating,timestamp\n",
    /MovieLens.*no events that can be used/,
  ],
  [
    "gzip that ends early",
    "movielens-csv",
    "ratings.csv",
    (whole) => gzipSync(whole).subarray(0, 60),
    /ratings.csv/,
  ],
  [
    "fields without a separator",
    "movielens-dat",
    "ratings.dat",
    replaced("1::30::3", "1:30:3"),
    /ratings.dat, line 2/,
  ],
  [
    "code in place of a literal",
    "amazon-2014",
    "meta_Tea.json",
    replaced("9.5", "__import__('os').getpid()"),
    /meta_Tea.json, line 1/,
  ],
  [
    "JSON that ends early",
    "amazon-2018",
    "Tea_5.json",
    (whole) => whole.subarray(0, -20),
    /Tea_5.json, line 3/,
  ],
  [
    "a text for a number",
    "amazon-2023",
    "Tea.jsonl",
    replaced('"rating": 3.0', '"rating": "good"'),
    /Tea.jsonl, line 2, column "rating": expected a number, got "good"/,
  ],
  [
    "no user",
    "google-local",
    "review-Lemuria.json",
    replaced('"user_id": "900200"', '"user_id": null'),
    /review-Lemuria.json, line 1, column "user_id": expected a user/,
  ],
];

function replaced(part: string, by: string): (whole: Buffer) => Buffer {
  return (whole) => {
    const text = whole.toString("latin1");
    if (!text.includes(part)) throw new Error(`the fixture has no ${part}`);
    return Buffer.from(text.replace(part, by), "latin1");
  };
}

for (const [name, layout, file, damage, message] of damages) {
  test(`${name}: says where, and leaves nothing behind`, async (t) => {
    const raw = copyOf(t, layout);
    const path = join(raw, file);
    writeFileSync(path, damage(readFileSync(path)));
    const folder = temporaryFolder(t);
    const out = join(folder, "deep", "data");
    const source = await readers[layout](raw);
    await t.throwsAsync(prepare(source, { out }), { instanceOf: DataError, message });
    t.deepEqual(readdirSync(folder), []);
  });
}

test("what is skipped is counted and reported", async (t) => {
  const raw = copyOf(t, "movielens-csv");
  const path = join(raw, "ratings.csv");
  const lines = ["7,10,x,1", "7,10,9,1", "7,10,8,1", "7,10,4", "phantom,,4,1", ""];
  writeFileSync(path, `${readFileSync(path, "utf8")}${lines.join("\n")}`);
  const folder = temporaryFolder(t);
  const manifest = await prepare(await movielens(raw), {
    out: join(folder, "skipped"),
    onError: "skip",
  });
  const whole = await prepare(await movielens(fixture("movielens-csv")), {
    out: join(folder, "whole"),
  });
  t.deepEqual(manifest.counts, whole.counts);
  t.deepEqual(
    manifest.dropped.map(({ rule, rows }) => [rule, rows]),
    [
      ['column "rating": expected a number', 1],
      ['column "rating": expected a number from 0.5 to 5', 2],
      ["expected 4 fields", 1],
      ['column "movieId": expected an item', 1],
    ],
  );
  t.is(
    manifest.dropped[0]!.first,
    'ratings.csv, line 10, column "rating": expected a number, got "x"',
  );
  const { "manifest.json": _, ...skipped } = contents(join(folder, "skipped"));
  const { "manifest.json": __, ...expected } = contents(join(folder, "whole"));
  t.deepEqual(skipped, expected);
});

test("an out that cannot be used is refused before anything is read", async (t) => {
  const folder = temporaryFolder(t);
  let opened = 0;
  const source = sourceOf({ events: [{ user: "al", item: "a", time: 1 }] });
  const { open } = source.events;
  source.events.open = (options) => {
    opened++;
    return open(options);
  };
  const out = join(folder, "mine");
  await prepare(source, { out });
  t.is(opened, 1);
  await t.throwsAsync(prepare(source, { out }), { instanceOf: DataError, message: /overwrite/ });
  writeFileSync(join(folder, "file"), "");
  await t.throwsAsync(prepare(source, { out: join(folder, "file") }), { instanceOf: DataError });
  await t.throwsAsync(prepare(source, { out: folder }), { instanceOf: DataError });
  t.is(opened, 1);
  const before = contents(out);
  await prepare(source, { out, overwrite: true });
  t.deepEqual(contents(out), before);
  t.deepEqual(readdirSync(folder).sort(), ["file", "mine"]);
});

test("what an interrupted or failing run replaces stays as it was", async (t) => {
  const folder = temporaryFolder(t);
  const out = join(folder, "data");
  const rows = Array.from({ length: 10 }, (_, i) => ({ user: "al", item: `${i}`, time: i }));
  await prepare(sourceOf({ events: rows }), { out });
  const before = contents(out);
  for (const task of ["reading events.csv", "writing events.arrow"]) {
    await interrupted(t, task, out, rows.slice(1));
    t.deepEqual(contents(out), before);
    t.deepEqual(readdirSync(folder), ["data"]);
  }
  const bad = sourceOf({ events: [...rows, { user: "al" }] });
  await t.throwsAsync(prepare(bad, { out, overwrite: true }), { instanceOf: DataError });
  t.deepEqual(contents(out), before);
  t.false(existsSync(join(folder, "data.partial")));
});

async function interrupted(t: ExecutionContext, task: string, out: string, events: object[]) {
  const stop = new AbortController();
  let told = false;
  await t.throwsAsync(
    prepare(sourceOf({ events: events as Record<string, unknown>[] }), {
      out,
      overwrite: true,
      signal: stop.signal,
      onProgress: (progress) => {
        told ||= progress.task === task;
        if (progress.task === task) stop.abort(new Error("enough"));
      },
    }),
    { message: "enough" },
  );
  t.true(told);
}

test("every sorter gives the same bytes", async (t) => {
  const folder = temporaryFolder(t);
  const source = await movielens(fixture("movielens-csv"));
  const [memory, ...others] = await Promise.all(
    (["memory", "duckdb", "auto"] as const).map(async (sorter) => {
      const out = join(folder, sorter);
      await prepare(source, { out, sorter });
      return contents(out);
    }),
  );
  t.true(Object.keys(memory!).length >= 5);
  for (const other of others) t.deepEqual(other, memory);
  t.deepEqual(readdirSync(folder).sort(), ["auto", "duckdb", "memory"]);
});

test("a memory limit that sorts nothing is refused before anything is made", async (t) => {
  const out = join(temporaryFolder(t), "ml");
  const source = await movielens(fixture("movielens-csv"));
  await t.throwsAsync(prepare(source, { out, memoryLimit: 1 }), {
    instanceOf: UsageError,
    message: "prepare: the memory limit must be at least 64 MiB, got 1 bytes",
  });
  t.false(existsSync(out));
});

test("a feature without a column is refused", async (t) => {
  const out = join(temporaryFolder(t), "rows");
  const features = { stars: { kind: "ordinal" } } as unknown as Record<string, "ordinal">;
  const source = fromIterable([{ user: "a", item: "b", time: 1, stars: 2 }], { features });
  await t.throwsAsync(prepare(source, { out }), {
    instanceOf: ConfigError,
    message: /feature "stars" needs a column: a name, or a place from 0; got undefined$/,
  });
});

test("what is no iterable is refused", async (t) => {
  const out = join(temporaryFolder(t), "rows");
  await t.throwsAsync(prepare(fromIterable({} as never, { features: {} }), { out }), {
    instanceOf: UsageError,
    message: /expected an iterable or async iterable of objects/,
  });
});
