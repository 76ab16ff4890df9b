import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { freshFolder, savedEncoder, syntheticFolder } from "../recipes/trained-encoder.js";
import { runMain } from "./run-main.js";

test.serial("users of prepared data are embedded", async (t) => {
  const prepared = await syntheticFolder(t);
  const { folder, card } = await savedEncoder(t, { prepared });
  const out = join(await freshFolder(t), "out");
  const args = ["embed", "--encoder", folder, "--data", prepared, "--out", out, "--shards", "2"];
  const first = await runMain(args);
  t.is(first.exitCode, 0, first.stderr);
  t.is(first.stdout, `${out}: 30 users in 2 files\n`);
  const again = await runMain([...args.slice(0, -2), "--shard", "1/2", "--json"]);
  const { v, parts, card: made } = JSON.parse(again.stdout);
  t.is(v, 1);
  t.deepEqual(parts, [
    { name: "part-00001-of-00002.parquet", skipped: true, users: 0, withoutEvents: 0 },
  ]);
  t.is(made.encoder.hash, card.files[0]!.sha256);
  t.deepEqual(JSON.parse(await readFile(join(out, "embed.json"), "utf8")), made);
});

test.serial("a file of new histories is embedded, whatever its source knows", async (t) => {
  const { folder, data } = await savedEncoder(t);
  const root = await freshFolder(t);
  const rows = [0, 1, 2].map((item) => `ada,${data.itemId(item)},${item},5`);
  const input = join(root, "new.csv");
  await writeFile(
    input,
    ["who,what,at,stars", ...rows, "ada,a new thing,9,5", "ben,a new thing,1,3", ""].join("\n"),
  );
  const columns = ["--user", "who", "--item", "what", "--time", "at", "--feature", "stars=ordinal"];
  const out = join(root, "out");
  const args = ["embed", "--encoder", folder, "--input", input, ...columns, "--out", out];
  const { exitCode, stdout, stderr } = await runMain(args);
  t.is(exitCode, 0, stderr);
  t.is(
    stdout,
    `${out}: 2 users in 1 files\n1 users without events: null\n2 events of unknown items were left out\n` +
      "rating is not in the data and counted as missing\n",
  );
  const [part] = (await readdir(out)).filter((name) => name.startsWith("part-"));
  const found = await parquetReadObjects({ file: await asyncBufferFromFile(join(out, part!)) });
  t.deepEqual(
    found.map(({ user, events, embedding }) => [user, events, embedding?.length ?? null]),
    [
      ["ada", 3, 8],
      ["ben", 0, null],
    ],
  );
});

test.serial("what does not go together is told", async (t) => {
  const prepared = await syntheticFolder(t);
  const { folder } = await savedEncoder(t, { prepared });
  const out = join(await freshFolder(t), "out");
  const encoder = ["embed", "--encoder", folder, "--out", out];
  for (const [args, exitCode, message] of [
    [[...encoder], 2, "give --data, or --source and --input"],
    [[...encoder, "--data", prepared, "--input", "x.csv"], 2, "give --data, or --source"],
    [[...encoder, "--data", prepared, "--shard", "2/2"], 2, "Expected i/N"],
    [[...encoder, "--data", prepared, "--shard", "0/2", "--shards", "2"], 2, "leave --shards out"],
    [[...encoder, "--data", prepared, "--batch-size", "0"], 2, "Expected a whole number"],
    [[...encoder, "--data", prepared, "--pool", "max"], 2, "Allowed choices are last, mean, all"],
    [["embed", "--encoder", prepared, "--data", prepared, "--out", out], 3, "neither an encoder"],
    [["embed", "--encoder", folder, "--data", folder, "--out", out], 3, "no manifest.json"],
  ] as const) {
    const run = await runMain(args);
    t.is(run.exitCode, exitCode, args.join(" "));
    t.true(run.stderr.includes(message), run.stderr);
  }
  await t.throwsAsync(readdir(out), { code: "ENOENT" });
});
