import { readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Data } from "apache-arrow";
import test, { type ExecutionContext } from "ava";
import type { Problem } from "../../../src/data/inspect/problem-list.js";
import { validate } from "../../../src/data/inspect/validate.js";
import {
  arrowFile,
  bags,
  type FolderContent,
  float64,
  int32,
  int64,
  moments,
  names,
  preparedFolder,
  replaceFile,
  texts,
  writeManifest,
} from "../prepared/prepared-folder.js";

const content: FolderContent = {
  histories: [
    [0, 1, 2],
    [2, 2],
  ],
  times: [
    [1000, 2000, 2000],
    [3000, 4000],
  ],
  titles: ["One", undefined, "Three", "One"],
  features: [
    { name: "rating", kind: "ordinal", of: "event", values: [0.5, 5], rows: [1, 0, -1, 1, 1] },
    { name: "review", kind: "text", of: "event", rows: ["good", "", "naïve 🎬", "x", ""] },
    { name: "genres", kind: "bag", of: "item", values: ["c", "d"], rows: [[1], [0, 1], [], [0]] },
  ],
};

/** The columns of the files of the content. */
const columns: Record<string, Record<string, Data>> = {
  "users.arrow": { id: names(["u0", "u1"]), offset: int64([0, 3]), length: int32([3, 2]) },
  "items.arrow": {
    id: names(["i0", "i1", "i2", "i3"]),
    title: names(["One", undefined, "Three", "One"]),
    events: int64([1, 1, 3, 0]),
    genres: bags([[1], [0, 1], [], [0]]),
  },
  "events.arrow": {
    item: int32([0, 1, 2, 2, 2]),
    time: moments([1000, 2000, 2000, 3000, 4000]),
    rating: int32([1, 0, -1, 1, 1]),
    review: texts(["good", "", "naïve 🎬", "x", ""]),
  },
  "vocab-rating.arrow": { value: float64([0.5, 5]), count: int64([1, 3]) },
  "vocab-genres.arrow": { value: names(["c", "d"]), count: int64([1, 2]) },
};

/** The problems of the content with other columns in a file. */
async function problemsWith(
  t: ExecutionContext,
  file: string,
  changed: Record<string, Data>,
): Promise<readonly Problem[]> {
  const folder = await preparedFolder(t, content);
  await replaceFile(folder, file, arrowFile(Object.entries({ ...columns[file], ...changed })));
  return validate(folder);
}

const shown = (problems: readonly Problem[]): string[] =>
  problems.map(
    ({ file, where, what, rows }) =>
      `${[file, ...(where === null ? [] : [where])].join(", ")}: ${what} (${rows})`,
  );

test("valid data has no problems", async (t) => {
  t.deepEqual(await validate(await preparedFolder(t, content)), []);
  t.deepEqual(await validate(await preparedFolder(t, { histories: [], titles: [] })), []);
  t.deepEqual(
    await validate(await preparedFolder(t, { histories: [[0, 1]], clock: "position" })),
    [],
  );
  for (const file of Object.keys(columns)) t.deepEqual(await problemsWith(t, file, {}), []);
});

test("every rule that a column breaks is named with its first row", async (t) => {
  const cases: [file: string, changed: Record<string, Data>, problems: string[]][] = [
    [
      "events.arrow",
      { item: int32([0, 1, 2, 4, -1]) },
      [
        'events.arrow, column "item", row 3: must be from 0 to 3, got 4 (2)',
        'items.arrow, column "events", row 2: must be the events of the item, got 3, counted 1 (1)',
      ],
    ],
    [
      "events.arrow",
      { time: moments([1000, 2000, 1999, 3000, 5000]) },
      [
        'events.arrow, column "time", row 2: must not be less than in the row before, got 1999 (1)',
        'manifest.json: "clock.last" is given as 4000, and counted 5000 (1)',
        'manifest.json: "clock.tiedEvents" is given as 2, and counted 0 (1)',
        'manifest.json: "clock.usersWithTiedLast" is given as 1, and counted 0 (1)',
      ],
    ],
    [
      "events.arrow",
      { rating: int32([1, 0, -1, 2, -2]) },
      [
        'events.arrow, column "rating", row 3: must be from -1 to 1, got 2 (2)',
        'vocab-rating.arrow, column "count", row 1: must be the events that have the value, got 3, counted 1 (1)',
      ],
    ],
    [
      "events.arrow",
      { review: texts(["good", "", "", "x", ""]) },
      ['events.arrow: column "review": rows without a text is given as 2, and counted 3 (1)'],
    ],
    [
      "items.arrow",
      { genres: bags([[1], [0, 0], [], [2]]) },
      [
        'items.arrow, column "genres", row 1: values of a bag must differ, got 0 (1)',
        'items.arrow, column "genres", row 3: values must be from 0 to 1, got 2 (1)',
        'vocab-genres.arrow, column "count", row 1: must be the events that have the value, got 2, counted 1 (1)',
      ],
    ],
    [
      "items.arrow",
      { id: names(["i0", "i1", "i1", "i0"]) },
      ['items.arrow, column "id", row 2: values must differ, got "i1" (2)'],
    ],
    [
      "items.arrow",
      { title: names(["One", "Two", "Three", "Four"]) },
      [
        'manifest.json: "titles.missing" is given as 1, and counted 0 (1)',
        'manifest.json: "titles.shared" is given as 1, and counted 0 (1)',
        'manifest.json: "titles.itemsSharing" is given as 2, and counted 0 (1)',
      ],
    ],
    [
      "items.arrow",
      { events: int64([1, 1, 2, 1]) },
      [
        'items.arrow, column "events", row 2: must be the events of the item, got 2, counted 3 (2)',
        'vocab-genres.arrow, column "count", row 0: must be the events that have the value, got 1, counted 2 (1)',
      ],
    ],
    [
      "vocab-rating.arrow",
      { value: float64([5, 0.5]) },
      [
        'vocab-rating.arrow, column "value", row 1: must be a number greater than the one before, got 0.5 (1)',
      ],
    ],
    [
      "vocab-genres.arrow",
      { value: names(["c", "c"]) },
      ['vocab-genres.arrow, column "value", row 1: values must differ, got "c" (1)'],
    ],
    [
      "users.arrow",
      { offset: int64([0, 5]), length: int32([5, 0]) },
      [
        'manifest.json: "clock.usersWithTiedLast" is given as 1, and counted 0 (1)',
        'users.arrow, column "length", row 1: a user has events, got 0 (1)',
      ],
    ],
    [
      "users.arrow",
      { offset: int64([0, 2]) },
      ["users.arrow: row 1: its events are 2 from 2, the user before ends at 3 (1)"],
    ],
  ];
  for (const [file, changed, problems] of cases) {
    t.deepEqual(shown(await problemsWith(t, file, changed)), problems);
  }
});

test("texts that are not UTF-8 are found", async (t) => {
  const folder = await preparedFolder(t, content);
  const bytes = await readFile(join(folder, "events.arrow"));
  const at = bytes.indexOf("naïve");
  bytes[at + 3] = 0x20; // the second byte of ï
  await replaceFile(folder, "events.arrow", bytes);
  t.deepEqual(shown(await validate(folder)), [
    'events.arrow, column "review", row 2: a text must be UTF-8, got other bytes (1)',
  ]);
});

test("all files are checked against the manifest", async (t) => {
  const folder = await preparedFolder(t, content);
  const events = join(folder, "events.arrow");
  const bytes = await readFile(events);
  bytes[bytes.indexOf("good")] = 0x47;
  await writeFile(events, bytes);
  await truncate(join(folder, "users.arrow"), 10);
  await rm(join(folder, "vocab-rating.arrow"));
  await rm(join(folder, "vocab-genres.arrow"));
  await symlink(events, join(folder, "vocab-genres.arrow"));
  await writeFile(join(folder, "left.tmp"), "");
  const found = shown(await validate(folder));
  t.is(found.length, 5);
  t.is(found[0], "left.tmp: the manifest does not name it (1)");
  t.regex(found[1]!, /^users.arrow: its size in bytes is given as \d+, and counted 10 \(1\)$/);
  t.regex(found[2]!, /^events.arrow: its SHA-256 is [0-9a-f]{64}, the manifest says [0-9a-f]{64}/);
  t.is(found[3], "vocab-rating.arrow: it is not there (1)");
  t.is(found[4], "vocab-genres.arrow: it is not a file itself (1)");
});

test("an orphan does not hide the rest", async (t) => {
  const folder = await preparedFolder(t, content);
  await writeFile(join(folder, "left.tmp"), "");
  await replaceFile(
    folder,
    "vocab-genres.arrow",
    arrowFile([
      ["value", names(["c", "d"])],
      ["count", int64([1, 1])],
    ]),
  );
  t.deepEqual(shown(await validate(folder)), [
    "left.tmp: the manifest does not name it (1)",
    'vocab-genres.arrow, column "count", row 1: must be the events that have the value, got 1, counted 2 (1)',
  ]);
});

test("a manifest that cannot be read is the problem", async (t) => {
  const folder = await preparedFolder(t, content);
  await writeManifest(folder, { format: "user-llm-data", version: 9 });
  const [problem, ...rest] = await validate(folder);
  t.deepEqual(rest, []);
  t.is(problem?.file, "manifest.json");
  t.regex(problem!.what, /^made by a newer version of user-llm/);
  await rm(join(folder, "manifest.json"));
  t.regex(shown(await validate(folder))[0]!, /not a prepared data set, it has no manifest.json/);
});
