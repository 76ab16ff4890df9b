import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { DataError } from "../../src/errors.js";
import {
  evaluateRanking,
  type RankingResult,
  readRanking,
  scoreRanker,
  worthOf,
  writeRanking,
} from "../../src/evaluate/index.js";
import { freshFolder } from "../data/prepared/prepared-folder.js";
import { openSplit } from "../tasks/tasks.js";
import { inventedResult, inventedWindows } from "./invented-results.js";

const fileFor = async (t: ExecutionContext): Promise<string> =>
  join(await freshFolder(t), "ranking.json");

test("what is written is read, of every kind of split", async (t) => {
  const path = await fileFor(t);
  const histories = Array.from({ length: 12 }, (_, user) =>
    Array.from({ length: 5 + (user % 4) }, (_, i) => (user * 3 + i * i) % 9),
  );
  for (const options of [
    {},
    { strategy: "temporal", temporal: { testShare: 0.4 }, validation: false },
    { disjointUsers: { testShare: 0.4 }, validation: false },
  ] as const) {
    const content = { histories };
    const { data, ...split } = await openSplit(t, content, { windows: "padded", ...options });
    const ranker = scoreRanker({
      name: "same",
      items: data.items,
      scores: () => [...Array(data.items).keys()],
    });
    const result = await evaluateRanking(ranker, data, split, { bootstrap: 10 });
    await writeRanking(path, result);
    const read = await readRanking(path);
    t.deepEqual(JSON.parse(JSON.stringify(read)), JSON.parse(JSON.stringify(result)));
    t.deepEqual(read.windows, result.windows);
  }
});

test("every metric can be computed from the ranks in the file", async (t) => {
  const path = await fileFor(t);
  await writeRanking(path, await inventedResult(inventedWindows(1)));
  const { windows, metrics } = JSON.parse(await readFile(path, "utf8"));
  let compared = 0;
  for (const [part, isIn] of [
    ["all", () => true],
    ["withoutCold", (i: number) => windows.cold[i] === 0],
  ] as const)
    for (const kind of ["unmasked", "masked"])
      for (const [name, { mean }] of Object.entries<{ mean: number }>(metrics[part][kind])) {
        const ranks: number[] = windows[kind].filter((_: number, i: number) => isIn(i));
        const sum = ranks.map(worthOf(name)).reduce((a, b) => a + b, 0);
        t.true(Math.abs(sum / ranks.length - mean) < 1e-12, name);
        compared++;
      }
  t.is(compared, 20);
});

type Json = Record<string, unknown>;

/** Changes the value at a path of keys. */
function changed(result: RankingResult, path: string, value: unknown): Json {
  const copy = JSON.parse(JSON.stringify(result)) as Json;
  const keys = path.split("/");
  let place = copy;
  for (const key of keys.slice(0, -1)) place = place[key] as Json;
  place[keys.at(-1)!] = value;
  return copy;
}

test("files that lie are refused, and say where", async (t) => {
  const path = await fileFor(t);
  const result = await inventedResult(inventedWindows(1));
  const { users, targetRows, unmasked } = result.windows;
  const cases: [string, unknown, RegExp][] = [
    ["format", "other", /"format" must be one of "user-llm-ranking", got "other"/],
    ["version", 2, /a ranking of version 2; this user-llm reads version 1/],
    ["ranker", 5, /"ranker" must be a text, got 5/],
    ["protocol/ks", [10, 1], /"protocol.ks" must be rising numbers/],
    ["protocol/ks", [], /"protocol.ks" must be rising numbers/],
    ["protocol/ks", [1, 5], /"metrics.all.unmasked.recall@5" must be an object, got nothing/],
    ["protocol/part", "train", /"protocol.part" must be one of/],
    ["protocol/candidates", 20, /"windows.unmasked\[\d+\]" must be a whole number from 1 to 20/],
    ["protocol/bootstrap", null, /interval" must be null where nothing was resampled/],
    ["protocol/windows", "a".repeat(64), /"protocol.windows" is not the fingerprint/],
    ["protocol/split/decisions/windows", "half", /"protocol.split.decisions.windows" must be/],
    ["protocol/split/data/title", null, /"protocol.split.data.title" must be a text/],
    ["counts/coldTargets", 0, /"counts.coldTargets" is 0, its windows have \d+/],
    ["metrics/all/masked/mrr/mean", 0.99, /"metrics.all.masked.mrr.mean" is 0.99, its ranks give/],
    ["metrics/withoutCold", null, /"metrics.withoutCold" does not go/],
    ["windows/masked", unmasked.map((rank) => Math.min(100, rank + 1)), /the greater \d+ masked/],
    ["windows/cold", [0, 1], /"windows.cold" has 2 of \d+ windows/],
    ["windows/users", [...users].reverse(), /is not behind window/],
    ["windows/targetRows", targetRows.map(() => 7), /window 1 is not behind window 0/],
    [
      "windows/unmasked",
      unmasked.map((rank) => rank + 0.5),
      /must be a whole number from 1 to 100/,
    ],
    ["windows/users/0", 80, /"windows.users\[0\]" must be a whole number from 0 to 79, got 80/],
    ["windows", [], /"windows" must be an object, got \[\]/],
  ];
  for (const [place, value, message] of cases) {
    await writeFile(path, JSON.stringify(changed(result, place, value)));
    await t.throwsAsync(readRanking(path), { instanceOf: DataError, message }, place);
  }
});

test("whatever a file holds, reading it gives a result or a DataError", async (t) => {
  const path = await fileFor(t);
  const result = await inventedResult(inventedWindows(1));
  const text = JSON.stringify(result);
  await t.throwsAsync(readRanking(join(path, "..", "none.json")), {
    message: /cannot read: no such file/,
  });
  for (const bad of [
    "",
    "null",
    "[]",
    "{}",
    text.slice(0, -9),
    "[".repeat(200_000),
    `{"format":${"[".repeat(50_000)}${"]".repeat(50_000)}}`,
  ]) {
    await writeFile(path, bad);
    await t.throwsAsync(readRanking(path), { instanceOf: DataError });
  }
  const paths = pathsIn(JSON.parse(text)).filter((place) => !/^windows\/\w+\/\d\d/.test(place));
  const edits = fc.tuple(fc.constantFrom(...paths), fc.jsonValue({ maxDepth: 2 }));
  await fc.assert(
    fc.asyncProperty(edits, async ([place, value]) => {
      await writeFile(path, JSON.stringify(changed(result, place, value)));
      const outcome = await readRanking(path).catch((error: unknown) => error);
      if (outcome instanceof Error) t.true(outcome instanceof DataError, String(outcome));
    }),
    { numRuns: 300 },
  );
});

function pathsIn(value: unknown, path = ""): string[] {
  if (typeof value !== "object" || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, part]) =>
    pathsIn(part, path === "" ? key : `${path}/${key}`),
  );
  return path === "" ? inner : [path, ...inner];
}

test("a result that cannot be written leaves what was there", async (t) => {
  const folder = await freshFolder(t);
  const path = join(folder, "ranking.json");
  const result = await inventedResult(inventedWindows(1));
  await writeRanking(path, result);
  await writeRanking(path, { ...result, ranker: "newer" });
  t.is((await readRanking(path)).ranker, "newer");
  await mkdir(join(folder, "taken"));
  await writeFile(join(folder, "taken", "file"), "");
  await t.throwsAsync(writeRanking(join(folder, "taken"), result), { instanceOf: DataError });
  await t.throwsAsync(writeRanking(join(folder, "absent", "x.json"), result), {
    instanceOf: DataError,
    message: /cannot write: no such file or folder/,
  });
  t.deepEqual(await readdir(folder), ["ranking.json", "taken"]);
});
