import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { movielens } from "../../../src/data/sources/movielens.js";
import type { SyntheticCard } from "../../../src/data/synthetic/describe-synthetic.js";
import { Histories } from "../../../src/data/synthetic/histories.js";
import { syntheticModel } from "../../../src/data/synthetic/model.js";
import { writeSynthetic } from "../../../src/data/synthetic/write-synthetic.js";

let folder: string;
test.beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "user-llm-synthetic-"));
});
test.afterEach.always(() => rm(folder, { recursive: true }));

const hash = async (file: string) =>
  createHash("sha256")
    .update(await readFile(join(folder, file)))
    .digest("hex");

test.serial("the bytes are those of every machine and version", async (t) => {
  await writeSynthetic(join(folder, "out"), { preset: "tiny", seed: 7 });
  t.deepEqual((await readdir(folder)).sort(), ["out"]);
  t.deepEqual((await readdir(join(folder, "out"))).sort(), [
    "movies.csv",
    "ratings.csv",
    "synthetic.json",
  ]);
  t.deepEqual(
    {
      movies: await hash("out/movies.csv"),
      ratings: await hash("out/ratings.csv"),
      card: await hash("out/synthetic.json"),
    },
    {
      movies: "eba6d533c1a086445099c5b2ef98e5baa573b82021721c2ef8865bafe114b6df",
      ratings: "b0a39de51a2a4f6282c4d9edc8d1ee94aa1b7371655ff76a5071c39f43a9306c",
      card: "83e15a180461a41fc6f11b2feeb33279c8c6965ad140a78c204fe155ccd00467",
    },
  );
});

test.serial("rows are the events, by time or by item", async (t) => {
  const options = { preset: "tiny", seed: 7 } as const;
  const write = (rowOrder: "time" | "item") =>
    writeSynthetic(join(folder, rowOrder), { ...options, rowOrder, oracleUsers: 0 });
  await write("time");
  await write("item");
  const rows = async (order: string) =>
    (await readFile(join(folder, order, "ratings.csv"), "utf8")).trimEnd().split("\n");
  const [byTime, byItem] = [await rows("time"), await rows("item")];
  t.is(byTime[0], "userId,movieId,rating,timestamp");
  const { items, levels, seconds } = new Histories(await syntheticModel(options)).of(0);
  t.is(byTime[1], `1,${items[0]! + 1},${((levels[0]! + 1) / 2).toFixed(1)},${seconds[0]}`);
  t.deepEqual(byItem.toSorted(), byTime.toSorted());
  t.notDeepEqual(byItem, byTime);
  const cells = byItem.slice(1).map((row) => row.split(",").map(Number));
  t.true(
    cells.every(
      ([user, item], i) =>
        i === 0 ||
        user! > cells[i - 1]![0]! ||
        (user === cells[i - 1]![0] && item! > cells[i - 1]![1]!),
    ),
  );
});

test.serial("read in the layout of MovieLens, it says that it is not MovieLens", async (t) => {
  const out = join(folder, "ml-20m");
  await writeSynthetic(out, { preset: "tiny", seed: 7, oracleUsers: 0 });
  const { name, title, licence, citation } = await movielens(out);
  t.is(name, "synthetic");
  t.is(title, "Synthetic (user-llm, seed 7)");
  t.regex(licence!, /not real/);
  t.is(citation, undefined);
  await writeFile(join(out, "synthetic.json"), "{}");
  await t.throwsAsync(movielens(out), { code: "ERR_DATA", message: /synthetic.json: expected/ });
});

test.serial("titles with commas and quotes are quoted", async (t) => {
  await writeSynthetic(join(folder, "out"), { preset: "tiny", seed: 7, oracleUsers: 0 });
  const text = await readFile(join(folder, "out/movies.csv"), "utf8");
  t.regex(text, /^\d+,"\w+ \w+, \w+ \w+ \(\d{4}\)",/m);
  t.regex(text, /^\d+,"The ""\w+"" \w+ \(\d{4}\)",/m);
  const { titles } = (await syntheticModel({ preset: "tiny", seed: 7 })).catalogue;
  t.true(titles.every((title) => text.includes(title.replaceAll('"', '""'))));
});

test.serial("the card has the options and what rankings score", async (t) => {
  await writeSynthetic(join(folder, "out"), { preset: "tiny", users: 400, seed: 7 });
  const card = JSON.parse(
    await readFile(join(folder, "out/synthetic.json"), "utf8"),
  ) as SyntheticCard;
  t.regex(card.notice, /not real/);
  t.is(card.options.users, 400);
  t.deepEqual((await syntheticModel(card.options)).parameters, card.options);
  const { users, bayes, popularity } = card.lastOut!;
  t.is(users, 400);
  for (const { expected, measured } of [bayes, popularity.unmasked, popularity.masked]) {
    t.true(expected.recallAt1 <= expected.mrr && expected.recallAt1 < expected.recallAt5);
    for (const name of ["recallAt1", "recallAt5", "recallAt10", "ndcgAt10", "mrr"] as const)
      t.true(Math.abs(measured[name] - expected[name]) < 4 * Math.sqrt(0.25 / users), name);
  }
  t.true(bayes.expected.recallAt10 > 2 * popularity.masked.expected.recallAt10);
  t.true(popularity.masked.expected.recallAt10 > popularity.unmasked.expected.recallAt10);
});

test.serial("nothing is left of a run that was aborted, and nothing is replaced", async (t) => {
  const stop = new AbortController();
  const out = join(folder, "out");
  await t.throwsAsync(
    writeSynthetic(out, {
      preset: "small",
      signal: stop.signal,
      onProgress: () => stop.abort(new Error("enough")),
    }),
    { message: "enough" },
  );
  t.deepEqual(await readdir(folder), []);
  await mkdir(out);
  await writeFile(join(out, "mine"), "");
  await t.throwsAsync(writeSynthetic(out, { preset: "tiny" }), { message: /is not empty/ });
  t.deepEqual(await readdir(out), ["mine"]);
});

test.serial("options that are none are refused before anything is written", async (t) => {
  const out = join(folder, "out");
  for (const [options, message] of [
    [{ rowOrder: "user" }, /rowOrder must be "time" or "item", got "user"/],
    [{ oracleUsers: -1 }, /oracleUsers must be a whole number from 0, got -1/],
    [{ row: 1 }, /no option "row"/],
  ] as const)
    await t.throwsAsync(writeSynthetic(out, { preset: "tiny", ...(options as object) }), {
      code: "ERR_CONFIG",
      message,
    });
  t.deepEqual(await readdir(folder), []);
});
