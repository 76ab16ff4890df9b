/** A resumed run is the run that was never interrupted: to the bit, and to the line of the log. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { defaultGenerator, seed } from "../../src/ops/index.js";
import { memory } from "../../src/tensor/index.js";
import { type FitOptions, type FitResult, fit, type MetricRecord } from "../../src/train/index.js";
import { Tiny, type TinyOptions } from "./tiny.js";

let before = 0;
test.beforeEach(() => {
  defaultGenerator.dispose();
  before = memory().tensors;
});
test.afterEach((t) => {
  defaultGenerator.dispose();
  t.is(memory().tensors, before, "tensors leaked");
});

async function folderOf(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-fit-"));
  t.teardown(() => rm(folder, { recursive: true }));
  return join(folder, "checkpoints");
}

type Change = (options: FitOptions) => Partial<FitOptions>;

interface Ran {
  result: FitResult;
  /** After which steps. */
  stopped: number[];
  digest: string;
  log: MetricRecord[];
}

/** A run that is stopped after some steps, each time in what could be another process, and then goes on to its end. */
async function run(
  folder: string,
  tinyOptions: TinyOptions,
  stops: readonly number[],
  change: Change = () => ({}),
): Promise<Ran> {
  let log: MetricRecord[] = [];
  const stopped: number[] = [];
  for (const stop of [...stops, Infinity]) {
    defaultGenerator.dispose();
    seed(log.length === 0 ? 5 : 99); // what a new process begins with must not matter
    using tiny = new Tiny(tinyOptions);
    const controller = new AbortController();
    const options = tiny.options(folder);
    const changed = { ...options, ...change(options as unknown as FitOptions) } as typeof options;
    const { learningRate } = changed;
    const result = await fit({
      ...changed,
      resume: "auto",
      signal: controller.signal,
      learningRate: (step) => {
        if (step === stop - 1) controller.abort();
        return learningRate(step);
      },
      onResume: ({ step }) => {
        log = log.filter((record) => record.step <= step);
      },
      onLog: (record) => void log.push(record),
    });
    if (result.reason === "aborted") {
      stopped.push(result.step);
      continue;
    }
    return { result, stopped, digest: await tiny.digest(), log: log.map(timeless) };
  }
  throw new Error("unreachable");
}

function timeless(record: MetricRecord): MetricRecord {
  const { examplesPerSecond: _, positionsPerSecond: __, ...values } = record.values;
  return { ...record, values };
}

const kinds: readonly (TinyOptions & { accumulate?: number })[] = [
  { optimizer: "adamw" },
  { optimizer: "adamw", own: false },
  { optimizer: "adafactor", layout: "ragged" },
  { optimizer: "sgd", accumulate: 2 },
  { optimizer: "adamw", precision: "bfloat16", accumulate: 3 },
  { optimizer: "adafactor", precision: "bfloat16", own: false },
];

for (const { accumulate = 1, ...options } of kinds)
  test.serial(`interrupted anywhere: ${JSON.stringify({ accumulate, ...options })}`, async (t) => {
    const change: Change = () => ({ accumulate });
    const whole = await run(await folderOf(t), options, [], change);
    t.is(whole.result.reason, "finished");
    for (const stops of [[1], [5, 5, 8], [11]]) {
      const resumed = await run(await folderOf(t), options, stops, change);
      t.deepEqual(resumed.stopped, stops);
      t.deepEqual(resumed.result, whole.result, `stopped after ${stops}`);
      t.is(resumed.digest, whole.digest, `stopped after ${stops}`);
      t.deepEqual(resumed.log, whole.log, `stopped after ${stops}`);
    }
  });
