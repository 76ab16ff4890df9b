import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import type { MetricRecord } from "../../../src/train/metric-record.js";
import type { CreateRunOptions } from "../../../src/train/run/index.js";

/** A folder that goes when the test ends. */
export async function temporary(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-run-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** The least that a run is created with. */
export const start: CreateRunOptions = {
  config: { resolved: { encoder: { kind: "sasrec" } } },
  command: ["user-llm", "pretrain"],
};

export const trained = (step: number, loss = 1 / step): MetricRecord => ({
  step,
  epoch: step / 10,
  split: "train",
  values: { loss },
});
