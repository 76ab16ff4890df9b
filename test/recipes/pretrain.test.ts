/**
 * Stage 1 as users run it: from prepared data to a run folder with results, stopped and gone on with. One at a time: they
 * share the default generator.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { CheckpointError, ConfigError, DataError, UsageError } from "../../src/errors.js";
import { memory, rand, seed, tidy } from "../../src/index.js";
import {
  type Config,
  type ConfigOptions,
  configure,
  evaluateEncoder,
  loadEncoder,
  type PretrainOptions,
  pretrain,
} from "../../src/recipes/index.js";
import { freshFolder, syntheticFolder } from "./trained-encoder.js";

const encoder: ConfigOptions["encoder"] = {
  ...{ kind: "autoregressive", layers: 1, width: 16, heads: 2, dropout: 0.2 },
  featureWidths: { rating: 4 },
};

async function given(t: ExecutionContext, options: ConfigOptions = {}): Promise<Config> {
  const out = await syntheticFolder(t, { users: 40, items: 50, events: 480, shortest: 4 });
  return configure({
    seed: 3,
    data: { out, split: { windows: "padded", length: 6 }, loader: { batchSize: 32 } },
    encoder,
    pretrain: { epochs: 3, learningRate: 0.01, logEvery: 5 },
    evaluate: { bootstrap: 20, ks: [1, 10] },
    ...options,
  });
}

const run = (config: Config, folder: string, options: Partial<PretrainOptions> = {}) =>
  pretrain(config, { folder, command: ["user-llm", "pretrain"], ...options });

const jsonOf = async (...path: string[]) => JSON.parse(await readFile(join(...path), "utf8"));

/** Lines of the metrics without what the clock decides. */
async function metricsOf(folder: string): Promise<object[]> {
  const text = await readFile(join(folder, "metrics.jsonl"), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => {
      const {
        seconds: _,
        examplesPerSecond: __,
        positionsPerSecond: ___,
        ...rest
      } = JSON.parse(line);
      return rest;
    });
}

test.serial("a run folder has everything; its encoder evaluates to the same ranks", async (t) => {
  const config = await given(t);
  const folder = join(await freshFolder(t), "run");
  seed(config.seed);
  tidy(() => void rand([1])); // The default generator keeps its state on the device from now on.
  const before = memory().tensors;
  const result = await run(config, folder);
  t.is(memory().tensors, before);

  t.is(result.reason, "finished");
  t.deepEqual(
    result.test.map(({ ranker }) => ranker),
    ["autoregressive", "most popular", "co-occurrence"],
  );
  const { state, step, best } = await jsonOf(folder, "trainer_state.json");
  t.is(state, "finished");
  t.is(step, result.steps);
  t.is(best.value, result.validation["masked/ndcg@10"]);
  const names = await readdir(folder);
  for (const name of ["config.yaml", "command.txt", "environment.json", "train.log", "encoder"])
    t.true(names.includes(name), name);
  t.deepEqual(await jsonOf(folder, "config.resolved.json"), JSON.parse(JSON.stringify(config)));
  t.is((await readdir(join(folder, "eval", "test"))).length, 3);

  const again = await evaluateEncoder(folder, config);
  t.deepEqual(again, result.test);
  using loaded = await loadEncoder(join(folder, "encoder"));
  t.is(loaded.card.provenance.data.title, "Synthetic (user-llm, seed 1)");
});

test.serial("stopped and gone on with, a run ends as if nothing had happened", async (t) => {
  const config = await given(t);
  const parent = await freshFolder(t);
  const whole = await run(config, join(parent, "whole"));

  const folder = join(parent, "stopped");
  for (const [attempt, stopAt] of [7, 16, undefined].entries()) {
    const controller = new AbortController();
    const result = await run(config, folder, {
      resume: attempt > 0,
      signal: controller.signal,
      onProgress({ task, done }) {
        if (task === "training" && stopAt !== undefined && done >= stopAt) controller.abort();
      },
    });
    t.is(result.reason, stopAt === undefined ? "finished" : "aborted");
    const { state } = await jsonOf(folder, "trainer_state.json");
    t.is(state, stopAt === undefined ? "finished" : "stopped");
    if (stopAt === undefined) t.deepEqual(result.test, whole.test);
    else t.deepEqual(result.test, []);
  }
  const [a, b] = [join(parent, "whole"), folder];
  t.deepEqual(await metricsOf(b), await metricsOf(a));
  t.deepEqual(
    await readFile(join(b, "encoder", "model.safetensors")),
    await readFile(join(a, "encoder", "model.safetensors")),
  );
});

test.serial("a finished run that is resumed stays as it is", async (t) => {
  const config = await given(t, { pretrain: { steps: 4 } });
  const folder = join(await freshFolder(t), "run");
  const first = await run(config, folder);
  const second = await run(config, folder, { resume: true });
  t.deepEqual(second.test, first.test);
  t.deepEqual(second.validation, first.validation);
});

test.serial("what does not go together is refused", async (t) => {
  const config = await given(t, { pretrain: { steps: 2 } });
  const folder = join(await freshFolder(t), "run");
  await run(config, folder, { test: false });
  await t.throwsAsync(run(config, folder), { instanceOf: UsageError, message: /holds a run/ });
  await t.throwsAsync(run({ ...config, seed: 4 }, folder, { resume: true }), {
    instanceOf: CheckpointError,
    message: /training/,
  });
  await t.throwsAsync(run(configure({}), `${folder}-2`), {
    instanceOf: ConfigError,
    message: /data.out is missing/,
  });
  const monitor = { ...config, pretrain: { ...config.pretrain, monitor: "ndcg" } };
  await t.throwsAsync(run(monitor, `${folder}-3`), {
    instanceOf: UsageError,
    message: /"ndcg" is not among masked\/recall@1/,
  });
  t.is((await jsonOf(`${folder}-3`, "trainer_state.json")).state, "failed");
  const shorter = configure({ ...config, data: { ...config.data, split: { windows: "padded" } } });
  await t.throwsAsync(evaluateEncoder(folder, shorter), {
    instanceOf: DataError,
    message: /the split is not the one/,
  });
});

for (const kind of ["sasrec", "dual", "bert4rec"] as const)
  test.serial(`${kind} trains, too`, async (t) => {
    const config = await given(t, {
      encoder: { kind, layers: 1, width: 16, heads: 2 },
      pretrain: { steps: 6, optimizer: { kind: "adafactor" }, learningRate: 0.05 },
      evaluate: { bootstrap: 0, baselines: [] },
    });
    const folder = join(await freshFolder(t), "run");
    const { test: results } = await run(config, folder);
    t.is(results[0]!.ranker, kind);
    t.deepEqual(await evaluateEncoder(folder, config), results);
  });
