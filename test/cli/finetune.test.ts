/** `finetune` and `merge` as programs: what they print, where they stop, and how they go on. */
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { tinyModel } from "../recipes/tiny-model.js";
import { freshFolder } from "../recipes/trained-encoder.js";
import { runMain } from "./run-main.js";

async function given(
  t: ExecutionContext,
): Promise<{ flags: string[]; llm: string; folder: string }> {
  const parent = await freshFolder(t);
  const lines = Array.from({ length: 24 }, (_, i) => ({
    prompt: `${i} and 1 is`,
    completion: ` ${i + 1}.`,
  }));
  const data = join(parent, "sums.jsonl");
  await writeFile(data, lines.map((line) => JSON.stringify(line)).join("\n"));
  const config = join(parent, "cfg.yaml");
  await writeFile(
    config,
    `# tiny
finetune:
  llm: nowhere
  data: { files: [nowhere], heldOut: 6 }
  length: 32
  training: { batchTokens: 64, learningRate: 0.01, validateEvery: 0.5 }
`,
  );
  const llm = await tinyModel(
    t,
    lines.map(({ prompt, completion }) => prompt + completion),
  );
  const flags = ["finetune", "-c", config, "--llm", llm, "--data", data];
  return { flags, llm, folder: join(parent, "run") };
}

test.serial("a run says what it reached; its adapter is merged into a model, once", async (t) => {
  const { flags, folder, llm } = await given(t);
  const trained = await runMain([...flags, "--run-dir", folder, "--seed", "5", "--epochs", "2"]);
  t.is(trained.exitCode, 0, trained.stderr);
  t.regex(trained.stdout, /^\d+ steps, perplexity [\d.]+ on held-out examples\n/);
  t.regex(trained.stdout, /run: the adapter is in adapter\/\n$/);
  t.regex(trained.stderr, /epoch [\d.]+: logLikelihood -\d+\.\d{4}, the best so far/);
  t.regex(await readFile(join(folder, "config.yaml"), "utf8"), /^# tiny/);
  const resolved = JSON.parse(await readFile(join(folder, "config.resolved.json"), "utf8"));
  t.is(resolved.finetune.llm, llm);
  t.is(resolved.finetune.training.epochs, 2);

  const resumed = await runMain(["finetune", "--run-dir", folder, "--resume", "--json"]);
  t.is(resumed.exitCode, 0, resumed.stderr);
  t.is(JSON.parse(resumed.stdout).reason, "finished");

  const out = join(folder, "..", "merged");
  const merge = ["merge", "--llm", llm, "--adapter", join(folder, "adapter"), "--out", out];
  const merged = await runMain(merge);
  t.is(merged.exitCode, 0, merged.stderr);
  t.regex(merged.stdout, /merged: the model with the adapter in its weights, in float32\n$/);
  t.deepEqual((await readdir(out)).sort(), (await readdir(llm)).sort());
  const asked = ["--prompt", "3 and 1 is", "--max-new-tokens", "4", "--json"];
  const [beside, inside] = await Promise.all([
    runMain(["generate", "--llm", llm, "--adapter", join(folder, "adapter"), ...asked]),
    runMain(["generate", "--llm", out, ...asked]),
  ]);
  t.is(beside.exitCode, 0, beside.stderr);
  t.deepEqual(JSON.parse(beside.stdout).ids, JSON.parse(inside.stdout).ids);
  const again = await runMain(merge);
  t.is(again.exitCode, 3);
  t.regex(again.stderr, /merged is not empty .*; nothing was written/);
});

test.serial("a full fine-tune writes a model; a dry run leaves nothing", async (t) => {
  const { flags, folder } = await given(t);
  const full = [...flags, "--strategy", "full", "--run-dir", folder];
  const { exitCode, stdout, stderr } = await runMain([...full, "--dry-run"]);
  t.is(exitCode, 0, stderr);
  t.regex(
    stdout,
    /Parameters[\s\S]*total[\s\S]*Memory[\s\S]*read +20 sequences of \d+ tokens[\s\S]*time/,
  );
  t.false(existsSync(folder));
  const trained = await runMain(full);
  t.is(trained.exitCode, 0, trained.stderr);
  t.regex(trained.stdout, /run: the model and its tokenizer are in model\/\n$/);
  t.true(existsSync(join(folder, "model", "tokenizer.json")));
});

test.serial("what cannot be is said, with an exit code of its kind", async (t) => {
  const { flags, folder, llm } = await given(t);
  const fails = async (args: string[], code: number, message: RegExp) => {
    const { exitCode, stderr } = await runMain(args);
    t.is(exitCode, code, stderr);
    t.regex(stderr, message);
  };
  await fails(["finetune"], 2, /finetune\.llm is missing/);
  await fails(["finetune", "--llm", llm], 2, /finetune\.data/);
  await fails([...flags, "--epochs", "many", "--run-dir", folder], 2, /--epochs/);
  await fails([...flags, "--strategy", "half"], 2, /lora, full/);
  await fails(
    ["merge", "--llm", llm, "--adapter", folder, "--out", folder],
    3,
    /adapter_config\.json: no such file/,
  );
});
