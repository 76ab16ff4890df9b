/** `pretrain-lm` as a program: what it prints, where it stops, and how it goes on. */
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { freshFolder } from "../recipes/trained-encoder.js";
import { runMain } from "./run-main.js";

async function given(t: ExecutionContext): Promise<{ flags: string[]; folder: string }> {
  const parent = await freshFolder(t);
  const stories = Array.from(
    { length: 40 },
    (_, i) => `Once there were ${i} cats. They ran and ran.`,
  );
  await writeFile(join(parent, "stories.txt"), stories.join("---"));
  const config = join(parent, "cfg.yaml");
  await writeFile(
    config,
    `# tiny
pretrainLm:
  texts: { files: [nowhere], heldOut: 10 }
  tokenizer: { vocabulary: 300 }
  model: { width: 16, layers: 1, heads: 2, context: 16 }
  training: { batchTokens: 64, learningRate: 0.01, validateEvery: 0.5 }
`,
  );
  const texts = ["--texts", join(parent, "stories.txt"), "--separator", "---"];
  return { flags: ["pretrain-lm", "-c", config, ...texts], folder: join(parent, "run") };
}

test.serial("a run says what it reached, and one that is finished stays so", async (t) => {
  const { flags, folder } = await given(t);
  const trained = await runMain([...flags, "--run-dir", folder, "--seed", "5", "--epochs", "2"]);
  t.is(trained.exitCode, 0, trained.stderr);
  t.regex(
    trained.stdout,
    /^\d+ steps, perplexity [\d.]+, [\d.]+ bits per byte on held-out documents\n/,
  );
  t.regex(trained.stdout, /run: the model and its tokenizer are in model\/\n$/);
  t.regex(trained.stderr, /epoch [\d.]+: logLikelihood -\d\.\d{4}, the best so far/);
  t.regex(trained.stderr, /sample: "/);
  t.regex(await readFile(join(folder, "config.yaml"), "utf8"), /^# tiny/);
  const { seed, pretrainLm } = JSON.parse(
    await readFile(join(folder, "config.resolved.json"), "utf8"),
  );
  t.is(seed, 5);
  t.is(pretrainLm.training.epochs, 2);
  t.is(pretrainLm.texts.separator, "---");

  const resumed = await runMain(["pretrain-lm", "--run-dir", folder, "--resume", "--json"]);
  t.is(resumed.exitCode, 0, resumed.stderr);
  const { reason, validation } = JSON.parse(resumed.stdout);
  t.is(reason, "finished");
  t.true(validation.perplexity > 1);

  const again = await runMain([...flags, "--run-dir", folder]);
  t.is(again.exitCode, 2);
  t.regex(again.stderr, /holds a run already/);
  const replaced = await runMain([...flags, "--run-dir", folder, "--overwrite", "--epochs", "0.5"]);
  t.is(replaced.exitCode, 0, replaced.stderr);
});

test.serial("a dry run leaves nothing", async (t) => {
  const { flags, folder } = await given(t);
  const { exitCode, stdout, stderr } = await runMain([...flags, "--run-dir", folder, "--dry-run"]);
  t.is(exitCode, 0, stderr);
  t.regex(
    stdout,
    /Parameters[\s\S]*total[\s\S]*Memory[\s\S]*texts +36 documents[\s\S]*time, without/,
  );
  t.false(existsSync(folder));
});

test.serial("what is missing is named", async (t) => {
  const { flags, folder } = await given(t);
  for (const [args, exitCode, message] of [
    [["pretrain-lm"], 2, /pretrainLm\.texts\.files is missing/],
    [["pretrain-lm", "--epochs", "2"], 2, /pretrainLm\.texts/],
    [flags.slice(0, 3), 3, /nowhere: there is no such file or folder/],
    [[...flags, "--epochs", "x"], 2, /--epochs: pretrainLm\.training\.epochs/],
    [[...flags, "--resume"], 2, /--resume needs --run-dir/],
  ] as const) {
    const refused = await runMain([...args]);
    t.is(refused.exitCode, exitCode, refused.stderr);
    t.regex(refused.stderr, message);
  }
  t.false(existsSync(folder));
});
