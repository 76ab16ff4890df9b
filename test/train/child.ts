/**
 * A run in a process of its own, to be killed. Resumes whatever is in the folder; prints the step after each, and at last
 * the digest of the weights.
 *
 *     node --import=tsx test/train/child.ts <folder> <steps> [pattern of the call to be killed at]
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seed } from "../../src/ops/index.js";
import { cosineWithWarmup } from "../../src/optim/index.js";
import { fit, type MetricRecord } from "../../src/train/index.js";
import { arm } from "./failing-files.js";
import { Tiny } from "./tiny.js";

const [folder = "", stepsText = "", at] = process.argv.slice(2);
const steps = Number(stepsText);
const metrics = join(folder, "metrics.jsonl");

seed(3);
const tiny = new Tiny({ precision: "bfloat16", own: false });
if (at !== undefined) arm("kill", new RegExp(at));
const { reason } = await fit({
  ...tiny.options(join(folder, "checkpoints")),
  steps,
  learningRate: (step) => cosineWithWarmup(step, { peak: 0.02, steps }),
  accumulate: 2,
  logEvery: 7,
  validation: {
    every: 10,
    run: async () => ({ position: tiny.loader.state().position }),
    monitor: "position",
  },
  resume: "auto",
  onResume({ step }) {
    const lines = existsSync(metrics) ? readFileSync(metrics, "utf8").split("\n") : [];
    const kept = lines.filter((line) => line && (JSON.parse(line) as MetricRecord).step <= step);
    writeFileSync(metrics, kept.map((line) => `${line}\n`).join(""));
  },
  onLog(record) {
    const { examplesPerSecond: _, positionsPerSecond: __, ...values } = record.values;
    appendFileSync(metrics, `${JSON.stringify({ ...record, values })}\n`);
  },
  onProgress: ({ done }) => console.log(`step ${done}`),
});
console.log(reason, await tiny.digest());
