import { execFileSync } from "node:child_process";
import {
  appendFile,
  mkdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { type Table, tableFromIPC } from "apache-arrow";
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { PreparedData } from "../../../src/data/prepared/prepared-data.js";
import { DataError, UsageError } from "../../../src/errors.js";
import {
  arrowFile,
  type FolderContent,
  int32,
  int64,
  names,
  preparedFolder,
  replaceFile,
  writeManifest,
} from "./prepared-folder.js";

const content: FolderContent = {
  histories: [
    [0, 1, 2],
    [2, 2],
  ],
  times: [
    [1000, 2000, 2000],
    [2 ** 40, 2 ** 40 + 1],
  ],
  titles: ["Éclair", undefined, "Éclair", "東京"],
  features: [
    { name: "rating", kind: "ordinal", of: "event", values: [0.5, 5], rows: [1, 0, -1, 1, 1] },
    {
      name: "tags",
      kind: "bag",
      of: "event",
      values: ["a", "b"],
      rows: [[0, 1], [], [1], [0], []],
    },
    { name: "review", kind: "text", of: "event", rows: ["good", "", "naïve 🎬", "x", ""] },
    { name: "brand", kind: "categorical", of: "item", values: ["one", "two"], rows: [0, -1, 1, 1] },
    { name: "genres", kind: "bag", of: "item", values: ["c", "d"], rows: [[1], [0, 1], [], [0]] },
    { name: "blurb", kind: "text", of: "item", rows: ["", "text", "", ""] },
  ],
};

async function opened(t: ExecutionContext, what = content): Promise<PreparedData> {
  const data = await PreparedData.open(await preparedFolder(t, what));
  t.teardown(() => data.close());
  return data;
}

test("gives names and bags of a single row", async (t) => {
  const data = await opened(t, {
    histories: [[0]],
    times: [[1]],
    titles: ["One"],
    features: [
      { name: "tags", kind: "bag", of: "event", values: ["a"], rows: [[0]] },
      { name: "brand", kind: "categorical", of: "item", values: ["b"], rows: [0] },
      { name: "blurb", kind: "text", of: "item", rows: ["text"] },
    ],
  });
  t.is(data.title(0), "One");
  t.deepEqual(data.vocabulary("brand"), ["b"]);
  t.deepEqual([...data.bag("tags").offsets], [0, 1]);
  t.is(data.text("blurb", 0), "text");
  t.is(data.findUser(data.userId(0)), 0);
});

test("gives what was written", async (t) => {
  const data = await opened(t);
  t.deepEqual([data.users, data.items, data.events], [2, 4, 5]);
  t.deepEqual([...data.userOffsets], [0, 3, 5]);
  t.deepEqual([...data.column("item")], [0, 1, 2, 2, 2]);
  t.deepEqual([...data.column("rating")], [1, 0, -1, 1, 1]);
  t.deepEqual([...data.times()], [1000n, 2000n, 2000n, 2n ** 40n, 2n ** 40n + 1n]);
  t.deepEqual([...data.bag("tags").offsets], [0, 2, 2, 3, 4, 4]);
  t.deepEqual([...data.bag("tags").values], [0, 1, 1, 0]);
  t.deepEqual([...data.bag("genres").offsets], [0, 1, 3, 3, 4]);
  t.deepEqual([...data.itemColumn("brand")], [0, -1, 1, 1]);
  t.deepEqual([...data.itemEvents()], [1n, 1n, 3n, 0n]);
  t.deepEqual(
    [0, 1, 2, 3, 4].map((row) => data.text("review", row)),
    ["good", "", "naïve 🎬", "x", ""],
  );
  t.is(data.text("blurb", 1), "text");
  t.deepEqual(
    [0, 1, 2, 3].map((item) => data.title(item)),
    ["Éclair", undefined, "Éclair", "東京"],
  );
  t.deepEqual([data.itemId(3), data.userId(1)], ["i3", "u1"]);
  t.deepEqual([data.findItem("i3"), data.findItem("i4"), data.findUser("u0")], [3, undefined, 0]);
  t.deepEqual(data.vocabulary("rating"), Float64Array.of(0.5, 5));
  t.deepEqual(data.vocabulary("brand"), ["one", "two"]);
  t.deepEqual([...data.vocabularyCounts("brand")], [1n, 3n]);
  t.is(data.feature("tags").longest, 2);
});

test("reads columns as apache-arrow does", async (t) => {
  const data = await opened(t);
  for (const { name } of data.manifest.files) {
    const table: Table = tableFromIPC(await readFile(join(data.folder, name)));
    for (const { name: column } of table.schema.fields) {
      const ours = data.columnOf(name, column);
      const values = table.getChild(column)!.toJSON() as unknown[];
      if ("texts" in ours) {
        const { texts } = ours;
        const read = values.map((_, row) => (texts.isNull(row) ? null : texts.text(row)));
        t.deepEqual(read, values as (string | null)[]);
      } else if (ours.type === "bag") {
        const read = values.map((_, row) => [
          ...ours.values.slice(ours.offsets[row], ours.offsets[row + 1]),
        ]);
        t.deepEqual(
          read,
          values.map((bag) => [...(bag as Iterable<number>)]),
        );
      } else if (ours.type === "timestamp") {
        t.deepEqual([...ours.values].map(Number), values as number[]);
      } else {
        t.deepEqual([...ours.values] as unknown[], values);
      }
    }
  }
});

test("data without events opens", async (t) => {
  const features = content.features!.map((feature) => ({ ...feature, rows: [] }));
  const data = await opened(t, { histories: [], titles: [], features });
  t.deepEqual([data.users, data.items, data.events], [0, 0, 0]);
  t.deepEqual([...data.userOffsets], [0]);
  t.is(data.column("rating").length, 0);
  t.is(data.bag("genres").values.length, 0);
  t.is(data.findItem("i0"), undefined);
});

test("closing ends the use", async (t) => {
  const data = await opened(t);
  const items = data.column("item");
  data.close();
  data.close();
  t.is(items.length, 0);
  const closed = { instanceOf: UsageError, message: /this prepared data was closed/ };
  t.throws(() => data.column("item"), closed);
  t.throws(() => data.times(), closed);
  t.throws(() => data.title(0), closed);
  t.throws(() => data.vocabulary("brand"), closed);
  t.throws(() => data.findUser("u0"), closed);
  using other = await PreparedData.open(data.folder);
  t.is(other.events, 5);
});

test("asking for what is not there is a UsageError", async (t) => {
  const data = await opened(t);
  const refused = (message: RegExp) => ({ instanceOf: UsageError, message });
  t.throws(
    () => data.column("stars"),
    refused(/has no feature "stars"; it has rating, tags, review, brand/),
  );
  t.throws(
    () => data.column("brand"),
    refused(/"brand" is a categorical of items, expected a .* of events/),
  );
  t.throws(() => data.itemColumn("rating"), refused(/expected a .* of items/));
  t.throws(() => data.bag("rating"), refused(/"rating" is a ordinal of events, expected a bag/));
  t.throws(() => data.vocabulary("review"), refused(/"review" is a text/));
  for (const row of [-1, 5, 0.5, Number.NaN]) {
    t.throws(
      () => data.text("review", row),
      refused(/events.arrow, column "review": row .* is not one of 5/),
    );
  }
  t.throws(() => data.itemId(4), refused(/row 4 is not one of 4/));
});

test("the fingerprint is of the content of the files", async (t) => {
  const first = await opened(t);
  const second = await opened(t);
  const other = await opened(t, { ...content, titles: ["a", "b", "c", "d"] });
  t.is(first.fingerprint, second.fingerprint);
  t.not(first.fingerprint, other.fingerprint);
});

async function refusal(folder: string): Promise<string> {
  try {
    (await PreparedData.open(folder)).close();
    return "opened";
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return error.message.replace(`${folder}/`, "");
  }
}

test("a file cut on disk is refused before it is read", async (t) => {
  for (const name of ["events.arrow", "users.arrow", "items.arrow", "vocab-brand.arrow"]) {
    const folder = await preparedFolder(t, content);
    const { length } = await readFile(join(folder, name));
    await truncate(join(folder, name), length - 100);
    t.is(
      await refusal(folder),
      `${name}: it has ${length - 100} bytes, the manifest says ${length}; it was cut or changed`,
    );
    await truncate(join(folder, name), 0);
    t.regex(await refusal(folder), /it has 0 bytes/);
    await rm(join(folder, name));
    t.is(await refusal(folder), `${name}: the manifest names it, but it is not there`);
  }
});

test("a file that grew, a link, a folder and a pipe in its place are refused", async (t) => {
  const folder = await preparedFolder(t, content);
  const path = join(folder, "events.arrow");
  await rename(path, join(folder, "elsewhere"));
  await symlink(join(folder, "elsewhere"), path);
  t.is(await refusal(folder), "events.arrow: must be a file itself, not a link or a folder");
  await rm(path);
  await mkdir(path);
  t.is(await refusal(folder), "events.arrow: must be a file itself, not a link or a folder");
  await rm(path, { recursive: true });
  if (process.platform !== "win32") {
    execFileSync("mkfifo", [path]); // opening it would wait for a writer
    t.is(await refusal(folder), "events.arrow: must be a file itself, not a link or a folder");
    await rm(path);
  }
  await rename(join(folder, "elsewhere"), path);
  t.is(await refusal(folder), "opened");
  await appendFile(path, "more");
  t.regex(await refusal(folder), /events.arrow: it has \d+ bytes, the manifest says/);
});

test("a folder replaced by rename while in use stays readable", async (t) => {
  const data = await opened(t);
  const before = [...data.column("rating")];
  await rename(data.folder, `${data.folder}-old`);
  t.teardown(() => rm(`${data.folder}-old`, { recursive: true }));
  await mkdir(data.folder);
  await writeFile(join(data.folder, "events.arrow"), "");
  t.deepEqual([...data.column("rating")], before);
  t.is(data.text("review", 2), "naïve 🎬");
});

/** What is said of the content whose manifest has another value at a path; undefined takes it out. */
async function withManifest(
  t: ExecutionContext,
  ...changes: readonly (readonly [path: string, value: unknown])[]
): Promise<string> {
  const folder = await preparedFolder(t, content);
  const manifest = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8"));
  for (const [path, value] of changes) {
    const keys = path.split(".");
    let place = manifest;
    for (const key of keys.slice(0, -1)) place = place[key];
    place[keys.at(-1)!] = value;
  }
  await writeManifest(folder, manifest);
  return refusal(folder);
}

test("a manifest that lies is refused with the place", async (t) => {
  const lies: [path: string, value: unknown, message: RegExp][] = [
    ["format", "other", /"format" must be "user-llm-data", got "other"/],
    ["version", 2, /made by a newer version of user-llm \(format 2, this one reads 1\)/],
    ["version", 0, /format 0 is not read any more/],
    ["version", "1", /"version" must be a count, got "1"/],
    ["clock", undefined, /"clock" must be an object, got nothing/],
    ["clock", [], /"clock" must be an object, got \[\]/],
    ["clock.kind", "moon", /"clock.kind" must be one of "time", "position", got "moon"/],
    ["clock.kind", "position", /column 2 is "time" \(timestamp\), expected "position" \(int64\)/],
    ["counts.events", -1, /"counts.events" must be a count, got -1/],
    ["counts.events", 1e300, /"counts.events" must be a count/],
    ["counts.events", 2 ** 52, /events.arrow has 5 rows in "files" and 4503599627370496 elsewhere/],
    ["features.0.name", "__proto__", /"features\[0\].name" must be the name of a feature/],
    ["features.0.name", "../x", /must be the name of a feature, got "..\/x"/],
    ["features.0.name", "item", /must be the name of a feature/],
    ["features.1.name", "rating", /feature "rating" is there twice/],
    [
      "features.0.kind",
      "categorical",
      /column 1 is "value" \(float64\), expected "value" \(name\)/,
    ],
    ["features.3.kind", "bag", /column 4 is "brand" \(int32\), expected "brand" \(bag\)/],
    ["features.0.missing", 6, /feature "rating" is missing in 6 of 5 events/],
    ["features.5", null, /"features\[5\]" must be an object, got null/],
    ["features.length", 5, /column "blurb" \(text\) that the manifest does not name/],
    ["files.0.name", "../../x", /"files" names "..\/..\/x", which is not a file of such data/],
    ["files.1.name", "items.arrow", /which is not a file of such data or is there twice/],
    ["files.length", 3, /"files" lacks vocab-rating.arrow/],
    ["files.0.sha256", "no", /"files\[0\].sha256" must be a SHA-256/],
    ["files.0.bytes", null, /"files\[0\].bytes" must be a count, got null/],
    ["source.licence", 3, /"source.licence" must be a text, got 3/],
  ];
  for (const [path, value, message] of lies) t.regex(await withManifest(t, [path, value]), message);
  t.regex(
    await withManifest(t, ["counts.events", 2 ** 52], ["files.2.rows", 2 ** 52]),
    /events.arrow: it has 5 rows, the manifest says 4503599627370496/,
  );
});

test("no manifest, one that is not JSON, or a huge one", async (t) => {
  const folder = await preparedFolder(t, content);
  const path = join(folder, "manifest.json");
  await writeFile(path, "{");
  t.regex(await refusal(folder), /manifest.json: not JSON/);
  await writeFile(path, "[]");
  t.is(await refusal(folder), "manifest.json: it must hold an object, got []");
  await truncate(path, 2 ** 27);
  t.regex(await refusal(folder), /a manifest has at most/);
  await rm(path);
  t.regex(await refusal(folder), /not a prepared data set, it has no manifest.json/);
  t.regex(await refusal(join(folder, "nowhere")), /not a prepared data set/);
});

test("offsets of users that do not fit are refused", async (t) => {
  const users = (offsets: number[], lengths: number[]) =>
    arrowFile([
      ["id", names(["u0", "u1"])],
      ["offset", int64(offsets)],
      ["length", int32(lengths)],
    ]);
  const lies: [number[], number[], RegExp][] = [
    [[0, 3], [3, -2], /users.arrow, row 1: its events are -2 from 3, the user before ends at 3/],
    [[0, 2], [3, 2], /users.arrow, row 1: its events are 2 from 2, the user before ends at 3/],
    [[0, -3], [3, 2], /users.arrow, row 1/],
    [[0, 3], [3, 3], /its users have 6 events, the manifest says 5/],
    [[1, 3], [2, 2], /users.arrow, row 0/],
  ];
  for (const [offsets, lengths, message] of lies) {
    const folder = await preparedFolder(t, content);
    await replaceFile(folder, "users.arrow", users(offsets, lengths));
    t.regex(await refusal(folder), message);
  }
});

test("whatever bytes a file has, opening and reading gives a DataError or the data", async (t) => {
  const folder = await preparedFolder(t, content);
  const files = new Map<string, Buffer>();
  for (const name of ["events.arrow", "items.arrow", "users.arrow"]) {
    files.set(name, await readFile(join(folder, name)));
  }
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...files.keys()),
      fc.array(
        fc.tuple(
          fc.double({ min: 0, max: 0.999, noNaN: true }),
          fc.constantFrom(0, 1, 127, 128, 255),
        ),
        {
          minLength: 1,
          maxLength: 6,
        },
      ),
      async (name, changes) => {
        const bytes = Buffer.from(files.get(name)!);
        for (const [at, value] of changes) bytes[Math.floor(at * bytes.length)] = value;
        await writeFile(join(folder, name), bytes);
        try {
          using data = await PreparedData.open(folder);
          for (let row = 0; row < data.events; row++) data.text("review", row);
          for (let item = 0; item < data.items; item++) data.title(item);
        } catch (error) {
          t.true(error instanceof DataError, String((error as Error).stack));
          refused++;
        }
        await writeFile(join(folder, name), files.get(name)!);
      },
    ),
    { numRuns: 600 },
  );
  t.true(refused > 50);
});
