import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { Dictionary } from "../../../src/data/dictionary.js";
import type { Manifest } from "../../../src/data/manifest.js";
import { memorySorter } from "../../../src/data/sort/memory-sorter.js";
import type { EventSorter } from "../../../src/data/sort/sorter.js";
import { writePrepared } from "../../../src/data/write/write-prepared.js";
import { DataError } from "../../../src/errors.js";
import type { Progress } from "../../../src/progress.js";
import {
  closeCollected,
  collectedOf,
  events,
  itemRemap,
  ratingRemap,
  sortedEvents,
  source,
  tableOf,
  valuesOf,
} from "./collected.js";
import { mayMount, mountSmallDisk } from "./small-disk.js";

const folder = await mkdtemp(join(tmpdir(), "user-llm-prepared-"));
test.after.always(() => rm(folder, { recursive: true }));

async function write(name: string): Promise<{ out: string; manifest: Manifest }> {
  const collected = await collectedOf(join(folder, `${name}-scratch`));
  const out = join(folder, name);
  await mkdir(out);
  const manifest = await writePrepared(out, source, collected);
  await closeCollected(collected);
  return { out, manifest };
}

test("events come out in order, under their final indices", async (t) => {
  const { out } = await write("events");
  const table = await tableOf(out, "events.arrow");
  t.deepEqual(
    table.schema.fields.map(({ name, type }) => `${name}: ${type}`),
    [
      "item: Int32",
      "time: Timestamp<MILLISECOND, UTC>",
      "rating: Int32",
      "tags: List<Int32>",
      "review: LargeUtf8",
    ],
  );
  const expected = sortedEvents.map((place) => events[place]!);
  t.deepEqual(
    valuesOf(table, "item"),
    expected.map(([, item]) => itemRemap[item]),
  );
  t.deepEqual(
    valuesOf(table, "time"),
    expected.map(([, , time]) => time),
  );
  t.deepEqual(
    valuesOf(table, "rating"),
    expected.map(([, , , rating]) => (rating === -1 ? -1 : ratingRemap[rating])),
  );
  t.deepEqual(
    valuesOf(table, "tags"),
    expected.map(([, , , , tags]) => tags),
  );
  t.deepEqual(
    valuesOf(table, "review"),
    expected.map(([, , , , , review]) => review),
  );
});

test("users, items and vocabularies come out whole", async (t) => {
  const { out } = await write("tables");
  const columns = async (name: string) => {
    const table = await tableOf(out, name);
    return table.schema.fields.map((field) => [field.name, valuesOf(table, field.name)]);
  };
  t.deepEqual(await columns("users.arrow"), [
    ["id", ["ada", "bob", "cleo"]],
    ["offset", [0, 4, 6]],
    ["length", [4, 2, 1]],
  ]);
  t.deepEqual(await columns("items.arrow"), [
    ["id", ["m1", "m2", "m3", "m4"]],
    ["title", ["Dawn", null, "Dawn", "Ö 🎞"]],
    ["events", [2, 2, 3, 0]],
    ["maker", [0, -1, 1, 0]],
    ["genres", [[0, 1], [], [1], [2]]],
    // Halves of a surrogate pair are no text: each becomes the replacement character, on its own.
    ["plot", ["A morning.", "", "\ufffd", "\ufffd half"]],
  ]);
  t.deepEqual(await columns("vocab-rating.arrow"), [
    ["value", [0.5, 3, 4.5]],
    ["count", [1, 2, 3]],
  ]);
  t.deepEqual(await columns("vocab-genres.arrow"), [
    ["value", ["war", "art", "war|art"]],
    ["count", [2, 5, 0]],
  ]);
});

test("the manifest counts ties, titles and files", async (t) => {
  const { out, manifest } = await write("manifest");
  const { files, features, ...rest } = manifest;
  t.deepEqual(rest, {
    format: "user-llm-data",
    version: 1,
    source: {
      name: "invented",
      title: "Invented films",
      licence: null,
      citation: null,
      files: [{ name: "ratings.csv", bytes: 123, sha256: "ab" }],
    },
    counts: {
      events: 7,
      users: 3,
      items: 4,
      itemsWithoutEvents: 1,
      itemsWithoutMetadata: 1,
      repeatedItems: 3,
    },
    // ada's last three share a time, and so do both of bob's.
    clock: { kind: "time", first: -2000, last: 2 ** 53, tiedEvents: 5, usersWithTiedLast: 2 },
    titles: { missing: 1, shared: 1, itemsSharing: 2 },
    dropped: [{ rule: "expected a number", rows: 2, first: "ratings.csv, line 3" }],
  });
  t.is(features.length, 6);
  const names = files.map(({ name }) => name);
  t.deepEqual([...names, "manifest.json"].sort(), (await readdir(out)).sort());
  for (const { name, rows, bytes, sha256 } of files) {
    const content = await readFile(join(out, name));
    t.is(bytes, content.length);
    t.is(sha256, createHash("sha256").update(content).digest("hex"));
    t.is(rows, (await tableOf(out, name)).numRows);
  }
  const text = await readFile(join(out, "manifest.json"), "utf8");
  t.is(text, `${JSON.stringify(manifest, undefined, 2)}\n`);
  t.regex(text, /^\{\n {2}"format": "user-llm-data",\n {2}"version": 1,\n {2}"source"/);
});

test("the same input gives the same bytes", async (t) => {
  const [first, second] = [await write("once"), await write("twice")];
  for (const name of await readdir(first.out)) {
    t.deepEqual(await readFile(join(first.out, name)), await readFile(join(second.out, name)));
  }
});

test("a dataset without events", async (t) => {
  const whole = await collectedOf(join(folder, "none-scratch"));
  await closeCollected(whole);
  const collected = {
    ...whole,
    sorter: memorySorter(2),
    events: 0,
    clock: "position" as const,
    spools: new Map(),
    users: new Dictionary(),
    features: [],
    vocabularies: [],
  };
  const out = join(folder, "none");
  await mkdir(out);
  const { clock } = await writePrepared(out, source, collected);
  t.deepEqual(clock, {
    kind: "position",
    first: null,
    last: null,
    tiedEvents: 0,
    usersWithTiedLast: 0,
  });
  const table = await tableOf(out, "events.arrow");
  t.is(`${table.schema.fields[1]!.name}: ${table.schema.fields[1]!.type}`, "position: Int64");
  t.is(table.numRows, 0);
  t.is(table.batches.length, 1);
});

test("tells how far it is, and stops when it is told to", async (t) => {
  const collected = await collectedOf(join(folder, "stopped-scratch"));
  const out = join(folder, "stopped");
  await mkdir(out);
  const controller = new AbortController();
  const reason = new Error("enough");
  const seen: Progress[] = [];
  const error = await t.throwsAsync(
    writePrepared(out, source, collected, {
      signal: controller.signal,
      onProgress: (progress) => {
        seen.push(progress);
        if (progress.task === "sorting events") controller.abort(reason);
      },
    }),
  );
  t.is(error, reason);
  t.deepEqual(
    seen.map(({ task, done, total }) => [task, done, total]),
    [
      ["writing items.arrow", 4, 4],
      ["sorting events", 0, 7],
    ],
  );
  await closeCollected(collected);
});

test("stops while the sorter is still at work", async (t) => {
  const controller = new AbortController();
  const reason = new Error("enough");
  let taken = 0;
  const sorter: EventSorter = {
    ...memorySorter(2),
    sorted: () => ({
      [Symbol.asyncIterator]: () => ({
        next: () => {
          taken++;
          setImmediate(() => controller.abort(reason));
          return new Promise(() => {});
        },
      }),
    }),
  };
  const collected = await collectedOf(join(folder, "sorting-scratch"), sorter);
  const out = join(folder, "sorting");
  await mkdir(out);
  const { signal } = controller;
  t.is(await t.throwsAsync(writePrepared(out, source, collected, { signal })), reason);
  t.is(taken, 1);
  await closeCollected(collected);
});

(mayMount(folder) ? test : test.skip)("a full disk is a DataError", async (t) => {
  const out = join(folder, "full");
  await mkdir(out);
  // Enough for the items and the head of the events.
  const unmount = mountSmallDisk(out, 12 << 10);
  try {
    const collected = await collectedOf(join(folder, "full-scratch"));
    await t.throwsAsync(writePrepared(out, source, collected), {
      instanceOf: DataError,
      message: /full\/\w+\.(arrow|json): cannot write: no space is left on the disk$/,
    });
    await closeCollected(collected);
  } finally {
    unmount();
  }
});
