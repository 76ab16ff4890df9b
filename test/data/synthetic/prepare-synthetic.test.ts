import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { validate } from "../../../src/data/inspect/validate.js";
import { PreparedData } from "../../../src/data/prepared/prepared-data.js";
import type { SyntheticCard } from "../../../src/data/synthetic/describe-synthetic.js";
import { Histories } from "../../../src/data/synthetic/histories.js";
import { syntheticModel } from "../../../src/data/synthetic/model.js";
import { prepareSynthetic } from "../../../src/data/synthetic/prepare-synthetic.js";
import { Reviewer } from "../../../src/data/synthetic/reviews.js";

const options = { preset: "tiny", seed: 7 } as const;

test("the prepared set is the generated one, ties and all", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-synthetic-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const out = join(folder, "out");
  const manifest = await prepareSynthetic(out, { ...options, tiedShare: 0.3 });
  t.is(manifest.source.title, "Synthetic (user-llm, seed 7)");
  t.is(manifest.counts.events, 2_000);
  t.true(manifest.clock.tiedEvents > 600);

  const model = await syntheticModel({ ...options, tiedShare: 0.3 });
  const histories = new Histories(model);
  const reviewer = new Reviewer(model);
  using data = await PreparedData.open(out);
  t.deepEqual(await validate(out), []);
  const scale = data.vocabulary("rating");
  for (let user = 0; user < data.users; user++) {
    const history = histories.of(user);
    const reviews = reviewer.of(history);
    const from = data.userOffsets[user]!;
    const rows = Array.from({ length: history.length }, (_, i) => from + i);
    t.is(data.userId(user), String(user + 1));
    t.deepEqual(
      rows.map((row) => data.column("item")[row]),
      [...history.items.subarray(0, history.length)],
    );
    t.deepEqual(
      rows.map((row) => 2 * Number(scale[data.column("rating")[row]!]) - 1),
      [...history.levels.subarray(0, history.length)],
    );
    t.deepEqual(
      rows.map((row) => data.text("review", row)),
      reviews,
    );
  }
  t.is(data.title(5), model.catalogue.titles[5]);
});

test("it can be replaced with its card, and the card has the scores", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-synthetic-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const out = join(folder, "out");
  await t.throwsAsync(prepareSynthetic(out, { ...options, oracleUsers: 0.5 }), {
    code: "ERR_CONFIG",
  });
  t.deepEqual(await readdir(folder), []);
  await prepareSynthetic(out, { ...options, oracleUsers: 0 });
  await t.throwsAsync(prepareSynthetic(out, options), { code: "ERR_DATA" });
  await prepareSynthetic(out, { ...options, seed: 8, overwrite: true });
  t.true((await readdir(out)).includes("synthetic.json"));
  const card = JSON.parse(await readFile(join(out, "synthetic.json"), "utf8")) as SyntheticCard;
  t.is(card.options.seed, 8);
  t.is(card.lastOut!.users, 50);
});

test("whoever stops it at the rankings finds the folder as it was", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-synthetic-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const out = join(folder, "out");
  await prepareSynthetic(out, { ...options, oracleUsers: 0 });
  const before = await readFile(join(out, "manifest.json"), "utf8");
  const stop = new AbortController();
  const stopped = prepareSynthetic(out, {
    ...options,
    seed: 8,
    overwrite: true,
    signal: stop.signal,
    onProgress: ({ task }) => {
      if (/rank/.test(task)) stop.abort(new Error("enough"));
    },
  });
  await t.throwsAsync(stopped, { message: "enough" });
  t.is(await readFile(join(out, "manifest.json"), "utf8"), before);
  t.deepEqual(await readdir(folder), ["out"]);
});
