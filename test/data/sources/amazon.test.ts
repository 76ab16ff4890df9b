import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { collect } from "../../../src/data/collect/collect.js";
import { type AmazonLayout, amazon } from "../../../src/data/sources/amazon.js";
import { ConfigError, DataError, RowError } from "../../../src/errors.js";
import { eventsOf, plainly } from "../collect/in-memory.js";
import { compress, copyOf, fixture, temporaryFolder } from "./raw-files.js";

test("reads the layout of 2014, whose metadata are Python literals", async (t) => {
  const source = await amazon(fixture("amazon-2014"));
  t.is(source.title, "Amazon Reviews 2014");
  t.regex(source.citation!, /He and Julian McAuley\. 2016/);
  const collected = await collect(source, plainly());
  t.deepEqual(eventsOf(collected), [
    {
      user: "U1",
      item: "T100",
      time: 1_380_000_000_000,
      rating: 5,
      summary: "Like a café",
      review: "Smoky & strong.\nI'd buy it again.",
    },
    {
      user: "U2",
      item: "T100",
      time: 1_380_000_000_000,
      rating: 2,
      summary: 'Too "smoky"',
      review: "",
    },
    { user: "U1", item: "T200", time: 1_370_000_000_000, rating: 4, summary: "", review: "Fine." },
    {
      user: "U2",
      item: "T400",
      time: 1_390_000_000_000,
      rating: 3,
      summary: "Odd",
      review: "No metadata has it.",
    },
  ]);
  const { items, vocabularies } = collected;
  t.deepEqual(items.ids, ["T100", "T200", "T400"]);
  t.deepEqual(items.titles, ["Captain's Smoke & Leaf", undefined, undefined]);
  t.deepEqual([items.withoutMetadata, items.repeated], [1, 1]);
  t.deepEqual(items.columns, [
    {
      feature: "category",
      kind: "bag",
      offsets: Int32Array.of(0, 4, 7, 7),
      values: Int32Array.of(0, 1, 2, 3, 0, 1, 4),
    },
  ]);
  t.deepEqual(vocabularies[1], {
    feature: "category",
    values: ["Beverages", "Tea", "Black", "Gifts", "Green"],
    counts: Float64Array.of(3, 3, 2, 2, 1),
  });
});

test("reads the layout of 2018, whose categories end in scraps of HTML", async (t) => {
  const collected = await collect(await amazon(fixture("amazon-2018")), plainly());
  t.deepEqual(eventsOf(collected), [
    {
      user: "U1",
      item: "T100",
      time: 1_529_193_600_000,
      rating: 5,
      summary: "Five Stars",
      review: "Smoky.",
    },
    {
      user: "U2",
      item: "T200",
      time: 1_528_934_400_000,
      rating: 1,
      summary: "One Star",
      review: "",
    },
    {
      user: "U1",
      item: "T200",
      time: 1_528_934_400_000,
      rating: 4,
      summary: "",
      review: "Good value",
    },
  ]);
  t.deepEqual(collected.items.ids, ["T100", "T200"]);
  t.deepEqual(collected.items.titles, ["Smoke & Leaf", undefined]);
  t.deepEqual(collected.vocabularies[1]!.values, ["Beverages", "Tea"]);
});

test("reads the layout of 2023, whose variants share a parent", async (t) => {
  const collected = await collect(await amazon(fixture("amazon-2023")), plainly());
  t.deepEqual(eventsOf(collected), [
    {
      user: "U1",
      item: "T100",
      time: 1_588_687_728_923,
      rating: 5,
      summary: "Lovely",
      review: "Smoky.\n\nAgain!",
    },
    { user: "U2", item: "T200", time: 1_588_687_728_923, rating: 3, summary: "", review: "So so" },
    {
      user: "U2",
      item: "T100",
      time: 1_388_687_728_000,
      rating: 4,
      summary: "Other size",
      review: "",
    },
  ]);
  t.deepEqual(collected.items.titles, ["Smoke & Leaf", undefined]);
  t.deepEqual(collected.vocabularies[1]!.values, ["Beverages", "Tea"]);
  t.is(collected.features.find(({ name }) => name === "category")!.missing, 1);
});

for (const year of [2014, 2018, 2023] as const) {
  test(`${year}: gzip and files by name give the same`, async (t) => {
    const folder = copyOf(t, `amazon-${year}`);
    compress(folder);
    const names = {
      2014: ["reviews_Tea_5.json.gz", "meta_Tea.json.gz"],
      2018: ["Tea_5.json.gz", "meta_Tea.json.gz"],
      2023: ["Tea.jsonl.gz", "meta_Tea.jsonl.gz"],
    } satisfies Record<AmazonLayout, string[]>;
    const [reviews, metadata] = names[year].map((name) => join(folder, name)) as [string, string];
    const plain = await collect(await amazon(fixture(`amazon-${year}`)), plainly());
    for (const source of [await amazon(folder), await amazon({ reviews, metadata })]) {
      const collected = await collect(source, plainly());
      t.deepEqual(eventsOf(collected), eventsOf(plain));
      t.deepEqual(collected.items, plain.items);
    }
    const bare = await collect(await amazon({ reviews: [reviews] }), plainly());
    t.deepEqual(
      bare.items.titles.filter((title) => title !== undefined),
      [],
    );
    t.is(bare.items.withoutMetadata, 0);
  });
}

test("the categories of a folder become one set of histories", async (t) => {
  const folder = copyOf(t, "amazon-2018");
  const text = (name: string) =>
    readFileSync(join(folder, name), "utf8").replaceAll(/"T(\d)/g, '"C$1');
  writeFileSync(join(folder, "Coffee_5.json"), text("Tea_5.json"));
  writeFileSync(join(folder, "meta_Coffee.json"), text("meta_Tea.json"));
  const { users, items, files, events } = await collect(await amazon(folder), plainly());
  t.deepEqual([events, users.size, items.ids], [6, 2, ["C100", "C200", "T100", "T200"]]);
  t.deepEqual(
    files.map(({ name }) => name),
    ["meta_Coffee.json", "meta_Tea.json", "Coffee_5.json", "Tea_5.json"],
  );
});

test("2014 in strict JSON, or in Python throughout, is the same", async (t) => {
  const plain = await collect(await amazon(fixture("amazon-2014")), plainly());
  const folder = copyOf(t, "amazon-2014");
  const [reviews, metadata] = ["reviews_Tea_5.json", "meta_Tea.json"].map((name) => {
    return join(folder, name);
  }) as [string, string];
  const strict = readFileSync(metadata, "utf8")
    .replace(`"Captain's Smoke`, `'Captain\\u0027s Smoke`)
    .replace(`Leaf"`, `Leaf'`)
    .replaceAll("'", '"');
  writeFileSync(metadata, strict);
  const loose = readFileSync(reviews, "utf8").replaceAll('"', "'");
  writeFileSync(reviews, loose);
  const collected = await collect(await amazon(folder), plainly());
  t.deepEqual(eventsOf(collected), eventsOf(plain));
  t.deepEqual(collected.items, plain.items);
});

test("the receipt of a download is no review", async (t) => {
  const folder = copyOf(t, "amazon-2018");
  writeFileSync(join(folder, "DOWNLOAD.json"), "{}");
  t.is((await collect(await amazon(folder), plainly())).events, 3);
});

test("metadata that are code are refused, never run", async (t) => {
  const folder = copyOf(t, "amazon-2014");
  writeFileSync(join(folder, "meta_Tea.json"), "{'asin': __import__('os').getcwd()}\n");
  const source = await amazon(folder);
  await t.throwsAsync(collect(source, plainly()), {
    instanceOf: RowError,
    message: /meta_Tea.json, line 1/,
  });
});

test("says what was looked for, and what is there", async (t) => {
  const folder = temporaryFolder(t);
  const all =
    "expected reviews_<category>.json and meta_<category>.json (2014), or " +
    "<category>.json and meta_<category>.json (2018), or <category>.jsonl and meta_<category>.jsonl (2023)";
  await t.throwsAsync(amazon(folder), {
    instanceOf: DataError,
    message: `${folder}: ${all}, got an empty folder`,
  });
  await t.throwsAsync(amazon(folder, { layout: 2023 }), {
    message: `${folder}: expected <category>.jsonl and meta_<category>.jsonl (2023), got an empty folder`,
  });
  const mixed = copyOf(t, "amazon-2014");
  writeFileSync(join(mixed, "Tea.jsonl"), "");
  await t.throwsAsync(amazon(mixed), {
    instanceOf: DataError,
    message: `${mixed}: has reviews of 2014 and 2023; say which with the option layout`,
  });
  t.is((await amazon(mixed, { layout: 2014 })).title, "Amazon Reviews 2014");

  const twice = copyOf(t, "amazon-2018");
  writeFileSync(join(twice, "Tea.json.gz"), "");
  await t.throwsAsync(amazon(twice), {
    message: `${twice}: Tea.json.gz and Tea_5.json have the same reviews; keep one`,
  });
  rmSync(join(twice, "Tea.json.gz"));
  renameSync(join(twice, "meta_Tea.json"), join(twice, "meta_Coffee.json"));
  await t.throwsAsync(amazon(twice), {
    instanceOf: DataError,
    message: `${twice}: expected one meta_Tea beside Tea_5.json, got Tea_5.json, meta_Coffee.json`,
  });

  await t.throwsAsync(amazon({ reviews: "tea.txt" }), {
    instanceOf: ConfigError,
    message: /tea.txt/,
  });
  await t.throwsAsync(amazon({ reviews: [] }), { instanceOf: ConfigError });
});
