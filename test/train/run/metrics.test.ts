/** `metrics.jsonl`: order, numbers that JSON lacks, torn lines, going back to a step. */
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import fc from "fast-check";
import type { MetricRecord } from "../../../src/train/metric-record.js";
import { type LoggedRecord, RunFolder } from "../../../src/train/run/index.js";
import { metricLine, readMetricLines } from "../../../src/train/run/metric-lines.js";
import { start, temporary, trained } from "./temporary.js";

const name = fc
  .string({ minLength: 1 })
  .filter((text) => !/^(v|step|epoch|split|seconds|__proto__)$/.test(text));
const record: fc.Arbitrary<LoggedRecord> = fc.record({
  step: fc.nat(),
  epoch: fc.double({ min: 0, max: 1e6, noNaN: true }),
  split: fc.constantFrom("train", "validation", "test"),
  seconds: fc.double({ min: 0, max: 1e9, noNaN: true }),
  values: fc.dictionary(name, fc.double({ noDefaultInfinity: false }), { noNullPrototype: true }),
});

async function read(path: string): Promise<LoggedRecord[]> {
  const records: LoggedRecord[] = [];
  for await (const line of readMetricLines(path)) records.push(line.record);
  return records;
}

test("lines are read as they were written, NaN and infinities too", async (t) => {
  const path = join(await temporary(t), "metrics.jsonl");
  await fc.assert(
    fc.asyncProperty(fc.array(record), async (records) => {
      await writeFile(path, records.map(metricLine).join(""));
      // JSON has no -0.
      const plain = records.map(({ epoch, seconds, values, ...rest }) => ({
        ...rest,
        epoch: epoch + 0,
        seconds: seconds + 0,
        values: Object.fromEntries(Object.entries(values).map(([key, value]) => [key, value + 0])),
      }));
      t.deepEqual(await read(path), plain);
    }),
    { numRuns: 60 },
  );
});

test("a file cut anywhere gives the lines that are whole", async (t) => {
  const path = join(await temporary(t), "metrics.jsonl");
  const lines = [1, 2, 3].map((step) => metricLine({ ...trained(step), seconds: step }));
  const text = lines.join("");
  for (let length = 0; length <= text.length; length++) {
    await writeFile(path, text.slice(0, length));
    const whole = text.slice(0, length).split("\n").length - 1;
    t.is((await read(path)).length, whole, `${length} bytes`);
  }
});

test("files of many blocks are read whole", async (t) => {
  const path = join(await temporary(t), "metrics.jsonl");
  const records = Array.from({ length: 5000 }, (_, i) => ({ ...trained(i + 1), seconds: i }));
  await writeFile(path, records.map(metricLine).join(""));
  t.deepEqual(await read(path), records);
});

test("the last line may be garbage, as after a power failure; another may not", async (t) => {
  const path = join(await temporary(t), "metrics.jsonl");
  const line = metricLine({ ...trained(1), seconds: 1 });
  for (const garbage of ["\0\0\0\0\n", '{"step":2}\n', "[]\n", '{"step":2,"epoch":0,"spl\n']) {
    await writeFile(path, line + garbage);
    t.is((await read(path)).length, 1);
    await writeFile(path, line + garbage + line);
    await t.throwsAsync(read(path), {
      name: "CheckpointError",
      message: `${path}, line 2: no metrics`,
    });
  }
});

test("a run that was cut off goes on behind its last whole line", async (t) => {
  const path = join(await temporary(t), "run");
  const metrics = join(path, "metrics.jsonl");
  const run = await RunFolder.create(path, start);
  run.log(trained(1));
  run.log(trained(2));
  await run.close();
  await appendFile(metrics, '{"step":3,"epo');
  const again = await RunFolder.open(path);
  again.log(trained(3));
  await again.close();
  t.deepEqual(
    (await read(metrics)).map(({ step }) => step),
    [1, 2, 3],
  );
});

test("after truncate the file is that of a run which was never interrupted", async (t) => {
  const folder = await temporary(t);
  const validated = (step: number): MetricRecord => ({
    step,
    epoch: step / 10,
    split: "validation",
    values: { "ndcg@10": step / 100, worst: Number.NEGATIVE_INFINITY },
  });
  const logAll = (run: RunFolder, from: number, to: number) => {
    for (let step = from; step <= to; step++) {
      run.log(trained(step, step === 7 ? Number.NaN : undefined));
      if (step % 5 === 0) run.log(validated(step));
    }
  };
  const whole = await RunFolder.create(join(folder, "whole"), start);
  logAll(whole, 1, 40);
  await whole.close();
  const expected = await read(join(folder, "whole/metrics.jsonl"));

  for (const [killed, kept] of [
    [23, 20],
    [20, 20],
    [4, 0],
    [40, 39],
  ] as const) {
    const path = join(folder, `killed-${killed}`);
    const run = await RunFolder.create(path, start);
    logAll(run, 1, killed);
    await run.close();
    const resumed = await RunFolder.open(path);
    await resumed.truncate(kept);
    // The checkpoint may be from before the validation of its step.
    if (kept > 0 && kept % 5 === 0) resumed.log(validated(kept));
    logAll(resumed, kept + 1, 40);
    await resumed.close();
    const found = await read(join(path, "metrics.jsonl"));
    const timeless = (records: readonly LoggedRecord[]) =>
      records.map((line) => metricLine({ ...line, seconds: 0 })).join("");
    t.is(timeless(found), timeless(expected));
    const times = found.map(({ seconds }) => seconds);
    t.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
  }
});

test("truncate keeps kept lines to the byte, those of a future release too", async (t) => {
  const path = join(await temporary(t), "run");
  await (await RunFolder.create(path, start)).close();
  const kept = '{"step":1, "epoch":0.10,"split":"train","seconds":1.50,"note":"new","loss":2e0}\n';
  const gone = metricLine({ ...trained(2), seconds: 2 });
  await writeFile(join(path, "metrics.jsonl"), kept + gone);
  const run = await RunFolder.open(path);
  await run.truncate(1);
  t.is(await readFile(join(path, "metrics.jsonl"), "utf8"), kept);
  t.true(run.seconds >= 1.5 && run.seconds < 60);
  await run.close();
});

test("records that cannot be kept are refused", async (t) => {
  const run = await RunFolder.create(join(await temporary(t), "run"), start);
  const base = trained(1);
  const wrong: [Partial<Record<keyof MetricRecord, unknown>>, string][] = [
    [{ step: 1.5 }, "metrics: step must be a whole number from 0, got 1.5"],
    [{ step: -1 }, "metrics: step must be a whole number from 0, got -1"],
    [{ epoch: Number.NaN }, "metrics: epoch must be a number from 0, got NaN"],
    [{ split: "dev" }, "metrics: split must be one of train, validation, test, got dev"],
    [{ values: { step: 1 } }, 'metrics: a value cannot be named "step"'],
    [{ values: { loss: "low" } }, 'metrics: "loss" must be a number, got string'],
  ];
  for (const [part, message] of wrong) {
    t.throws(() => run.log({ ...base, ...part } as MetricRecord), { name: "UsageError", message });
  }
  await run.close();
  t.is(await readFile(join(run.path, "metrics.jsonl"), "utf8"), "");
  t.throws(() => run.log(base), {
    name: "UsageError",
    message: `${run.path}: the run folder is closed`,
  });
});
