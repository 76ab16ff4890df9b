import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { coloursFor } from "../../src/cli/colour.js";
import { describePretrainingPlan } from "../../src/cli/plan-text.js";
import { resolveConfig } from "../../src/config/index.js";
import { prepareSynthetic } from "../../src/data/index.js";
import { configSchema } from "../../src/recipes/config.js";
import { planPretraining } from "../../src/recipes/plan.js";
import { memory } from "../../src/tensor/index.js";

test("planning a configuration leaves neither files nor tensors, and reads well", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-plan-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const out = join(folder, "prepared");
  await prepareSynthetic(out, { preset: "tiny", oracleUsers: 0 });
  const value = {
    data: { out, split: { length: 20, windows: "padded" }, loader: { batchSize: 16 } },
    encoder: { kind: "autoregressive", layers: 1, width: 32, heads: 2 },
    pretrain: { epochs: 2, keep: 1, accumulate: 2 },
  };
  const config = resolveConfig(configSchema, [{ value, where: () => undefined }]);
  const before = memory().tensors;
  const plan = await planPretraining(config, { timedSteps: 2 });
  t.true(memory().tensors - before <= 1, "the default generator's state may have been made");
  t.deepEqual(await readdir(folder), ["prepared"]);
  t.true(Math.abs(plan.epochs - 2) < 0.2);
  t.is(plan.disk.checkpoints, 3 * plan.disk.checkpoint);
  t.true(plan.mapped > 1000 && plan.windows.users > 0);

  const text = describePretrainingPlan(plan, coloursFor({ write: () => true } as never, {}, true));
  t.regex(text, /^Parameters\n +all +trainable\n +events.tables.item +[\d,]+ +[\d,]+\n/);
  t.regex(text, /\n  peak, measured +[\d.]+ [kM]B of [\d.]+ [GT]B\n/);
  t.regex(text, /\n  arithmetic of a step +[\d.]+ [MG]FLOP, of it products [\d.]+ [MG]FLOP\n/);
  t.regex(text, /\n  a step +[\d.]+ ms \([\d.]+ ms to [\d.]+ ms\), [\d.]+ [MG]FLOP\/s\n/);
});
