import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { tableFromArrays, tableToIPC } from "apache-arrow";
import test from "ava";
import { parquetWriteFile } from "hyparquet-writer";
import { collect } from "../../../src/data/collect/collect.js";
import { type TableOptions, table } from "../../../src/data/sources/table.js";
import { ConfigError, DataError } from "../../../src/errors.js";
import { eventsOf, type Fields, plainly } from "../collect/in-memory.js";
import { fixture, temporaryFolder } from "./raw-files.js";

const visits = [
  { who: "al", what: "park", when: 10, stars: 4, tags: "wet|warm" },
  { who: "bo", what: "café", when: 5, stars: 2.5, tags: "" },
  { who: "al", what: "zoo, new", when: 10, stars: 4, tags: "warm" },
];
const expected: Fields[] = [
  { user: "al", item: "park", time: 10_000, stars: 4, tags: ["wet", "warm"] },
  { user: "bo", item: "café", time: 5_000, stars: 2.5, tags: [] },
  { user: "al", item: "zoo, new", time: 10_000, stars: 4, tags: ["warm"] },
];
const columns = {
  user: "who",
  item: "what",
  time: "when",
  features: { stars: "ordinal", tags: "bag" },
} as const;

function lines(separator: string, header: boolean): string {
  const quoted = (field: unknown) => (`${field}`.includes(separator) ? `"${field}"` : field);
  const rows = visits.map((visit) => Object.values(visit).map(quoted).join(separator));
  return `${[...(header ? [Object.keys(visits[0]!).join(separator)] : []), ...rows].join("\n")}\n`;
}

async function read(options: TableOptions) {
  return collect(table(options), plainly());
}

const arrow = tableFromArrays({
  who: visits.map(({ who }) => who),
  what: visits.map(({ what }) => what),
  when: Float64Array.from(visits, ({ when }) => when),
  stars: Float64Array.from(visits, ({ stars }) => stars),
  tags: visits.map(({ tags }) => tags),
});

const files: [name: string, content: string | Uint8Array, options?: object][] = [
  ["visits.csv", lines(",", true)],
  ["visits.CSV.gz", gzipSync(lines(",", true))],
  ["visits.tsv", lines("\t", true)],
  ["visits.inter", lines("\t", true)],
  ["visits.txt", lines(";", true), { separator: ";" }],
  ["visits.dat", lines("::", true), { separator: "::" }],
  ["visits.dat", Buffer.from(lines(";", true), "latin1"), { separator: ";", encoding: "latin1" }],
  ["visits", lines("\t", true), { format: "tsv" }],
  ["visits.csv", lines(",", false), { header: Object.keys(visits[0]!) }],
  ["visits.jsonl", visits.map((visit) => JSON.stringify(visit)).join("\n")],
  ["visits.ndjson.gz", gzipSync(visits.map((visit) => JSON.stringify(visit)).join("\n"))],
  ["visits.arrow", tableToIPC(arrow, "file")],
  ["visits.data", tableToIPC(arrow, "file")],
  ["visits.arrows", tableToIPC(arrow, "stream")],
];

for (const [name, content, options = {}] of files) {
  test(`reads ${name} ${JSON.stringify(options)}`, async (t) => {
    const file = join(temporaryFolder(t), name);
    writeFileSync(file, content);
    t.deepEqual(eventsOf(await read({ events: { file, ...columns, ...options } })), expected);
  });
}

test("reads Parquet, known by its first bytes", async (t) => {
  for (const name of ["visits.parquet", "visits.bin"]) {
    const filename = join(temporaryFolder(t), name);
    const columnData = (Object.keys(visits[0]!) as (keyof (typeof visits)[0])[]).map((name) => ({
      name,
      data: visits.map((visit) => visit[name]),
      ...(name === "stars" || name === "when" ? { type: "DOUBLE" as const } : {}),
    }));
    await parquetWriteFile({ filename, columnData });
    t.deepEqual(eventsOf(await read({ events: { file: filename, ...columns } })), expected);
  }
});

test("a pointer of Git LFS is not taken for the data", async (t) => {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 7\n`;
  for (const name of [
    "visits.csv",
    "visits.csv.gz",
    "visits.jsonl",
    "visits.parquet",
    "visits.arrow",
  ]) {
    const file = join(temporaryFolder(t), name);
    writeFileSync(file, pointer);
    const error = await t.throwsAsync(read({ events: { file, ...columns } }), {
      instanceOf: DataError,
    });
    t.true(
      error.message.endsWith(
        `${name}: is a pointer of Git LFS, not the data; fetch it with git lfs pull`,
      ),
      error.message,
    );
    writeFileSync(file, pointer.slice(0, 20)); // no pointer yet
    const other = await t.throwsAsync(read({ events: { file, ...columns } }));
    t.notRegex(other?.message ?? "", /pointer/);
  }
});

test("columns of a file without a header go by position", async (t) => {
  const file = join(temporaryFolder(t), "visits.csv");
  writeFileSync(file, lines(",", false));
  const features = {
    stars: { kind: "ordinal", column: 3 },
    tags: { kind: "bag", column: 4 },
  } as const;
  const events = { file, header: false, user: 0, item: 1, time: 2, features };
  t.deepEqual(eventsOf(await read({ events })), expected);
});

test("joins an items file of another format, and several files of events", async (t) => {
  const folder = temporaryFolder(t);
  const [first, second] = [join(folder, "first.csv"), join(folder, "second.csv")];
  writeFileSync(first, "movie,user,at\n30,al,2020-02-03T04:05:06Z\n");
  writeFileSync(second, "at,user,movie\n2020-02-03,bo,10\n"); // its columns in another order
  const collected = await read({
    events: {
      file: [first, second],
      user: "user",
      item: "movie",
      time: { column: "at", unit: "iso" },
    },
    items: {
      file: join(fixture("movielens-dat"), "movies.dat"),
      separator: "::",
      header: false,
      encoding: "latin1",
      id: 0,
      title: 1,
      features: { genres: { kind: "bag", column: 2 } },
    },
  });
  t.deepEqual(eventsOf(collected), [
    { user: "al", item: "30", time: Date.UTC(2020, 1, 3, 4, 5, 6) },
    { user: "bo", item: "10", time: Date.UTC(2020, 1, 3) },
  ]);
  t.deepEqual(collected.items.ids, ["10", "20", "30", "40"]);
  t.is(collected.items.titles[2], "Été sans fin (1971)");
  t.deepEqual(collected.vocabularies[0]!.values, [
    "Comedy",
    "Drama",
    "Children's",
    "Romance",
    "Western",
  ]);
});

test("positions, catalogue and what is told of the source are as given", async (t) => {
  const file = join(temporaryFolder(t), "visits.csv");
  writeFileSync(file, lines(",", true));
  const source = table({
    events: { file, user: "who", item: "what", position: "when" },
    catalogue: "seen",
    licence: "ours",
    citation: "us",
  });
  t.like(source, {
    name: "table",
    title: "visits.csv",
    licence: "ours",
    citation: "us",
    catalogue: "seen",
  });
  const collected = await collect(source, plainly());
  t.is(collected.clock, "position");
  t.deepEqual(
    eventsOf(collected).map(({ time }) => time),
    [10, 5, 10],
  );
  const named = table({
    events: { file, user: "who", item: "what" },
    name: "visits",
    title: "Visits",
  });
  t.like(named, { name: "visits", title: "Visits", catalogue: "all" });
  t.deepEqual(
    eventsOf(await collect(named, plainly())).map(({ time }) => time),
    [0, 1, 2],
  );
});

test("options that do not go together are refused", async (t) => {
  const folder = temporaryFolder(t);
  const [unknown, json] = [join(folder, "visits.log"), join(folder, "visits.jsonl")];
  writeFileSync(unknown, lines(",", true));
  writeFileSync(json, "{}\n");
  const refused = (options: TableOptions["events"], message: RegExp) =>
    t.throwsAsync(read({ events: options }), { instanceOf: ConfigError, message });
  await refused({ file: unknown, ...columns }, /visits.log: its name does not tell its format/);
  await refused({ file: json, ...columns, separator: "," }, /for delimited text, not jsonl/);
  await refused({ file: json, ...columns, header: true }, /for delimited text, not jsonl/);
  await refused({ file: unknown, ...columns, separator: "" }, /separator/);
  await refused({ file: json, ...columns, position: "when" }, /a time or a position, not both/);
  t.throws(() => table({ events: { file: [], ...columns } }), { instanceOf: ConfigError });
  await t.throwsAsync(read({ events: { file: join(folder, "none.csv"), ...columns } }), {
    instanceOf: DataError,
    message: /none.csv: cannot read: no such file or folder/,
  });
});

test("a column that no line of JSON has is an error", async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, "visits.jsonl");
  writeFileSync(file, visits.map((visit) => JSON.stringify(visit)).join("\n"));
  const options = {
    file,
    ...columns,
    features: { stars: "ordinal", colour: "categorical" },
  } as const;
  await t.throwsAsync(read({ events: options }), {
    instanceOf: DataError,
    message:
      /visits\.jsonl: no record has a column "colour"; the first has "who", "what", "when", "stars", "tags"$/,
  });
});

test("without quotes, a quote is a character like any other", async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, "visits.tsv");
  writeFileSync(file, 'user\titem\ttime\na\t"b\t1\n');
  const collected = await read({ events: { file, quotes: false, user: "user", item: "item" } });
  t.deepEqual([...collected.items.ids], ['"b']);
});
