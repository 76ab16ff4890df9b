/** `pretrain`, `eval` and `sweep` as programs: what they print, where they stop, and how they go on. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { freshFolder, syntheticFolder } from "../recipes/trained-encoder.js";
import { runMain } from "./run-main.js";

const mainFile = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

async function given(t: ExecutionContext): Promise<{ flags: string[]; folder: string }> {
  const data = await syntheticFolder(t, { users: 40, items: 50, events: 480, shortest: 4 });
  const parent = await freshFolder(t);
  const config = join(parent, "cfg.yaml");
  await writeFile(
    config,
    `# tiny
data: { split: { windows: padded, length: 6 }, loader: { batchSize: 32 } }
encoder: { layers: 1, width: 16, heads: 2 }
pretrain: { epochs: 2, learningRate: 0.01 }
evaluate: { bootstrap: 20, ks: [1, 10], baselines: [most-popular] }
`,
  );
  return { flags: ["-c", config, "--data", data], folder: join(parent, "run") };
}

test.serial("pretrain, then eval: tables for people, documents for programs", async (t) => {
  const { flags, folder } = await given(t);
  const trained = await runMain(["pretrain", ...flags, "--run-dir", folder, "--seed", "5"]);
  t.is(trained.exitCode, 0, trained.stderr);
  t.regex(trained.stdout, /masked recall@10 +masked ndcg@10/);
  t.regex(trained.stdout, /most popular +\d\.\d{3} ± /);
  t.regex(trained.stderr, /epoch 1\.00: masked\/ndcg@10 0\.\d{4}, the best so far/);
  t.regex(await readFile(join(folder, "config.yaml"), "utf8"), /^# tiny/);
  t.regex(await readFile(join(folder, "train.log"), "utf8"), /epoch 2\.00, train: loss \d/);

  const evaluated = await runMain(["eval", folder, "--json", "--no-baselines"]);
  t.is(evaluated.exitCode, 0, evaluated.stderr);
  const { results } = JSON.parse(evaluated.stdout);
  const stored = await readFile(join(folder, "eval", "test", "autoregressive.json"), "utf8");
  t.deepEqual(results, [JSON.parse(stored)]);

  const again = await runMain(["pretrain", ...flags, "--run-dir", folder]);
  t.is(again.exitCode, 2);
  t.regex(again.stderr, /holds a run already; resume it, overwrite it or name another folder/);
});

test.serial("a dry run leaves nothing", async (t) => {
  const { flags, folder } = await given(t);
  const { exitCode, stdout } = await runMain([
    ...["pretrain", ...flags, "--run-dir", folder, "--dry-run"],
  ]);
  t.is(exitCode, 0);
  t.regex(stdout, /Parameters[\s\S]*total[\s\S]*Memory[\s\S]*time, without/);
  t.false(existsSync(folder));
});

test.serial(
  "data that is not there is prepared first, where the configuration says how",
  async (t) => {
    const { folder } = await given(t);
    const input = fileURLToPath(new URL("../data/fixtures/movielens-csv", import.meta.url));
    const out = `${folder}-data`;
    const source = [`data.source=movielens`, `data.input=${input}`, "data.split.windows=padded"];
    const small = ["data.split.validation=false", "pretrain.steps=2", "encoder.layers=1"];
    const set = [...source, ...small].flatMap((option) => ["--set", option]);
    const trained = await runMain(["pretrain", "--data", out, "--run-dir", folder, ...set]);
    t.is(trained.exitCode, 0, trained.stderr);
    t.regex(trained.stderr, /prepared .*run-data/);
    const again = await runMain(["pretrain", "--data", out, "--run-dir", `${folder}-2`, ...set]);
    t.is(again.exitCode, 0, again.stderr);
    t.notRegex(again.stderr, /prepared /);
  },
);

test.serial("a plugin's encoder is trained; a module without one is refused", async (t) => {
  const { flags, folder } = await given(t);
  const parent = await freshFolder(t);
  const plugin = join(parent, "mine.mjs");
  const models = new URL("../../src/models/index.ts", import.meta.url).href;
  await writeFile(
    plugin,
    `import { AutoregressiveEncoder } from ${JSON.stringify(models)};
export const mine = {
  name: "mine",
  create: (data, { width }) => new AutoregressiveEncoder(data, { layers: 1, heads: 1, width }),
};
`,
  );
  await writeFile(join(parent, "nothing.mjs"), "export const answer = 42;\n");
  const custom = ["--encoder", "custom", "--set", "encoder.name=mine"];
  const args = ["pretrain", "--data", flags[3]!, "--set", "data.split.windows=padded"];
  const options = ["--set", "data.split.length=6", "--set", "pretrain.steps=3"];
  const command = [...args, ...options, ...custom, "--set", "encoder.options={width: 8}"];
  const trained = await runMain([...command, "--run-dir", folder, "--plugin", plugin]);
  t.is(trained.exitCode, 0, trained.stderr);
  const evaluated = await runMain(["eval", folder, "--plugin", plugin, "--no-baselines"]);
  t.is(evaluated.exitCode, 0, evaluated.stderr);

  const exported = await runMain([
    ...["embed", "--encoder", folder, "--data", flags[3]!, "--plugin", plugin],
    ...["--out", `${folder}-embeddings`],
  ]);
  t.is(exported.exitCode, 0, exported.stderr);

  const without = await runMain([...command, "--run-dir", `${folder}-2`]);
  t.is(without.exitCode, 2);
  t.regex(without.stderr, /no encoder "mine" was given; there are none/);
  for (const [name, message] of [
    [join(parent, "nothing.mjs"), /nothing\.mjs: exports no encoder/],
    [join(parent, "absent.mjs"), /--plugin .*absent\.mjs: Cannot find module/],
  ] as const) {
    const refused = await runMain([...command, "--run-dir", `${folder}-2`, "--plugin", name]);
    t.is(refused.exitCode, 2);
    t.regex(refused.stderr, message);
  }
});

test.serial(
  "SIGINT saves a checkpoint and exits 130; --resume needs nothing but the run",
  async (t) => {
    const { flags, folder } = await given(t);
    const args = [
      "pretrain",
      ...flags,
      "--run-dir",
      folder,
      "--epochs",
      "300",
      "--progress",
      "json",
    ];
    const child = spawn(process.execPath, ["--import=tsx", mainFile, ...args]);
    let stderr = "";
    child.stderr.on("data", (piece) => {
      stderr += piece;
      if (!child.killed && /"task":"training","done":[1-9]/.test(stderr)) child.kill("SIGINT");
    });
    t.deepEqual(await once(child, "close"), [130, null]);
    t.is(JSON.parse(await readFile(join(folder, "trainer_state.json"), "utf8")).state, "stopped");

    const shorter = ["--set", "pretrain.patience=1"];
    const other = await runMain(["pretrain", "--resume", "--run-dir", folder, ...shorter]);
    t.is(other.exitCode, 3, "another training must not go on with the checkpoint");
    const resumed = await runMain(["pretrain", "--resume", "--run-dir", folder]);
    t.is(resumed.exitCode, 0, resumed.stderr);
    t.is(JSON.parse(await readFile(join(folder, "trainer_state.json"), "utf8")).state, "finished");
  },
);

test.serial("a sweep runs its trials and leaves the test alone", async (t) => {
  const { flags, folder } = await given(t);
  const [, config] = flags as [string, string];
  const sweep = `sweep: { parameters: { pretrain.learningRate: { values: [0.001, 0.01] } } }\n`;
  await mkdir(folder);
  await writeFile(config, (await readFile(config, "utf8")) + sweep);
  const data = ["--set", `data.out=${flags[3]}`];
  const result = await runMain(["sweep", "-c", config, ...data, "--out", join(folder, "lr")]);
  t.is(result.exitCode, 0, result.stderr);
  t.true(existsSync(join(folder, "lr", "best.json")));
  t.false(existsSync(join(folder, "lr", "trial-001", "eval")));
});
