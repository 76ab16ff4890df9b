import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { collect } from "../../../src/data/collect/collect.js";
import { googleLocal } from "../../../src/data/sources/google-local.js";
import { ConfigError, DataError } from "../../../src/errors.js";
import { eventsOf, plainly } from "../collect/in-memory.js";
import { compress, copyOf, fixture, temporaryFolder } from "./raw-files.js";

test("reads the reviews and places of several states", async (t) => {
  const source = await googleLocal(fixture("google-local"));
  const collected = await collect(source, plainly());
  t.deepEqual(eventsOf(collected), [
    {
      user: "900100",
      item: "0x1:0xa",
      time: 1_609_909_927_056,
      rating: 5,
      review: "Great chowder!\nWill return.",
    },
    { user: "900200", item: "0x1:0xa", time: 1_609_909_927_056, rating: 2, review: "" },
    {
      user: "900100",
      item: "0x1:0xb",
      time: 1_609_900_000_000,
      rating: 4,
      review: "(Translated by Google) Good \n\n(Original)\nBon",
    },
    { user: "900200", item: "0x2:0xd", time: 1_509_900_000_000, rating: 3, review: "" },
  ]);
  const { items, vocabularies, features, files } = collected;
  t.deepEqual(items.ids, ["0x1:0xa", "0x1:0xb", "0x2:0xd"]);
  t.deepEqual(items.titles, ["Chowder House", "Kelp Museum", "Chowder House"]);
  t.deepEqual(vocabularies[1], {
    feature: "category",
    values: ["Seafood restaurant", "Restaurant"],
    counts: Float64Array.of(2, 3),
  });
  t.deepEqual(
    features.map(({ name, missing }) => [name, missing]),
    [
      ["rating", 0],
      ["review", 2],
      ["category", 1],
    ],
  );
  t.deepEqual(
    files.map(({ name }) => name),
    ["meta-Atlantis.json", "meta-Lemuria.json", "review-Atlantis.json", "review-Lemuria.json"],
  );
});

test("gzip and files by name give the same; the 10-core is a choice", async (t) => {
  const folder = copyOf(t, "google-local");
  const plain = await collect(await googleLocal(folder), plainly());
  compress(folder);
  for (const state of ["Atlantis", "Lemuria"]) {
    renameSync(join(folder, `review-${state}.json.gz`), join(folder, `review-${state}_10.json.gz`));
  }
  const paths = (kind: string, end: string) =>
    ["Atlantis", "Lemuria"].map((state) => join(folder, `${kind}-${state}${end}.json.gz`));
  const named = { reviews: paths("review", "_10"), metadata: paths("meta", "") };
  for (const source of [await googleLocal(folder), await googleLocal(named)]) {
    const collected = await collect(source, plainly());
    t.deepEqual(eventsOf(collected), eventsOf(plain));
    t.deepEqual(collected.items, plain.items);
  }
});

test("says what was looked for, and what is there", async (t) => {
  const folder = temporaryFolder(t);
  await t.throwsAsync(googleLocal(folder), {
    instanceOf: DataError,
    message: `${folder}: expected review-<state>.json and meta-<state>.json (each may end in .gz), got an empty folder`,
  });
  const copy = copyOf(t, "google-local");
  rmSync(join(copy, "meta-Lemuria.json"));
  await t.throwsAsync(googleLocal(copy), {
    instanceOf: DataError,
    message: /expected one meta-Lemuria beside review-Lemuria.json, got/,
  });
  writeFileSync(join(copy, "review-Atlantis_10.json.gz"), "");
  await t.throwsAsync(googleLocal(copy), {
    message: `${copy}: review-Atlantis.json and review-Atlantis_10.json.gz have the same reviews; keep one`,
  });
  await t.throwsAsync(googleLocal({ reviews: [] }), { instanceOf: ConfigError });
});
