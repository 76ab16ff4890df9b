/** The training loop: what a step is, what is told of it, and when it ends. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import test, { type ExecutionContext } from "ava";
import { valueAndGrad } from "../../src/autograd/index.js";
import type { Batch } from "../../src/data/index.js";
import { NativeError, TrainingError, UsageError } from "../../src/errors.js";
import { AutoregressiveEncoder, type EncoderLoss } from "../../src/models/index.js";
import { Module } from "../../src/nn/index.js";
import { defaultGenerator, multiply, rand, seed } from "../../src/ops/index.js";
import { AdamW } from "../../src/optim/index.js";
import type { Progress } from "../../src/progress.js";
import { memory, type Tensor, tensor, tidy } from "../../src/tensor/index.js";
import { fit } from "../../src/train/index.js";
import { Tiny } from "./tiny.js";

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

async function weightsOf(model: Module): Promise<number[]> {
  const all = await Promise.all(model.parameters().map(({ value }) => value.data()));
  return all.flatMap((values) => [...values]);
}

function largestDifference(a: readonly number[], b: readonly number[]): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

test.serial(
  "a step is a gradient, clipped, and a step of the optimizer at the scheduled rate",
  async (t) => {
    using fitted = new Tiny();
    await fit(fitted.options());

    using stepped = new Tiny();
    const { learningRate, clipNorm, steps } = stepped.options();
    const parameters = stepped.model.trainable();
    let step = 0;
    for await (const batch of stepped.loader) {
      tidy(() => {
        const { gradients } = valueAndGrad(parameters, () => stepped.model.loss(batch));
        stepped.optimizer.step(gradients, { learningRate: learningRate(step), clipNorm });
      });
      if (++step === steps) break;
    }
    t.is(await fitted.digest(), await stepped.digest());
  },
);

for (const layout of ["padded", "ragged"] as const)
  test.serial(
    `batches that make one step are one big batch, weighted by positions: ${layout}`,
    async (t) => {
      const plain = { layout, dropout: 0, optimizer: "sgd" } as const;
      using big = new Tiny({ ...plain, batchSize: 8 });
      using initial = new Tiny({ ...plain });
      using small = new Tiny({ ...plain, batchSize: 2 });
      await fit({ ...big.options(), steps: 3, logEvery: 3, learningRate: () => 0.5 });
      await fit({
        ...small.options(),
        steps: 3,
        logEvery: 3,
        accumulate: 4,
        learningRate: () => 0.5,
      });
      const [a, b, c] = await Promise.all(
        [big, small, initial].map(({ model }) => weightsOf(model)),
      );
      t.true(largestDifference(a!, c!) > 0.1);
      t.true(largestDifference(a!, b!) < 1e-5, `${largestDifference(a!, b!)}`);
      t.is(big.log.length, 1);
      for (const [name, value] of Object.entries(big.metrics[0]!.values))
        t.true(Math.abs(value - small.log[0]!.values[name]!) < 1e-5 * Math.abs(value), name);
    },
  );

test.serial(
  "a line of the log is the mean over its steps, weighted by what they count",
  async (t) => {
    using fine = new Tiny();
    using coarse = new Tiny();
    const counts: number[] = [];
    const positions = (): number => 7;
    const count = (model: AutoregressiveEncoder): AutoregressiveEncoder => {
      const { loss } = model;
      model.loss = (batch) => {
        const result = loss.call(model, batch);
        counts.push(result.count);
        return result;
      };
      return model;
    };
    const options = fine.options();
    await fit({ ...options, model: count(fine.model), steps: 7, logEvery: 1 });
    await fit({ ...coarse.options(), steps: 7, logEvery: 3, positions });
    t.deepEqual(
      coarse.log.map(({ step }) => step),
      [3, 6, 7],
    );
    t.deepEqual(
      coarse.log.map(({ epoch }) => epoch),
      [0.3, 0.6, 0.7],
    );
    t.true(new Set(counts).size > 1);
    const of = (from: number, to: number, name: string): number => {
      let sum = 0;
      let weight = 0;
      for (let i = from; i < to; i++) {
        sum += fine.log[i]!.values[name]! * counts[i]!;
        weight += counts[i]!;
      }
      return sum / weight;
    };
    for (const name of ["loss", "loss/item", "loss/rating", "loss/genres"])
      for (const [line, [from, to]] of [
        [0, 3],
        [3, 6],
        [6, 7],
      ].entries())
        t.true(Math.abs(coarse.log[line]!.values[name]! - of(from!, to!, name)) < 1e-12, name);
    t.is(coarse.log[1]!.values.learningRate, options.learningRate(5));
    const { gradientNorm, examplesPerSecond, positionsPerSecond } = coarse.log[0]!.values;
    const norms = fine.log.slice(0, 3).map(({ values }) => values.gradientNorm!);
    t.true(Math.abs(gradientNorm! - norms.reduce((a, b) => a + b) / 3) < 1e-12);
    t.true(Math.abs(positionsPerSecond! / examplesPerSecond! - 7 / 4) < 1e-9);
  },
);

test.serial("validation leaves no trace, and decides what is best", async (t) => {
  const made = (): Tiny => {
    defaultGenerator.dispose();
    seed(8);
    const tiny = new Tiny({ own: false });
    tiny.model.blocks[0]!.eval(); // a part that is not to train stays so
    return tiny;
  };
  using plain = made();
  await fit(plain.options());
  using validated = made();
  const folder = await folderOf(t);
  const metrics = [0.1, 0.3, 0.2, 0.3];
  const seen: boolean[] = [];
  const result = await fit({
    ...validated.options(folder),
    validation: {
      every: 4,
      monitor: "ndcg",
      async run() {
        seen.push(...[validated.model, ...validated.model.blocks].map(({ training }) => training));
        tidy(() => void rand([3]));
        return { ndcg: metrics.shift()!, recall: 1 };
      },
    },
  });
  t.deepEqual(seen, [false, false, false, false, false, false]);
  t.false(validated.model.blocks[0]!.training);
  t.true(validated.model.training);
  t.is(await validated.digest(), await plain.digest());
  t.deepEqual(result, {
    reason: "finished",
    step: 12,
    best: { step: 8, value: 0.3, checkpoint: join(folder, "step-8") },
  });
  t.deepEqual(
    validated.log
      .filter(({ split }) => split === "validation")
      .map(({ step, values }) => [step, values]),
    [
      [4, { ndcg: 0.1, recall: 1 }],
      [8, { ndcg: 0.3, recall: 1 }],
      [12, { ndcg: 0.2, recall: 1 }],
    ],
  );
  t.is(await readFile(join(folder, "best"), "utf8"), "step-8\n");
  t.is(await readFile(join(folder, "latest"), "utf8"), "step-12\n");
});

test.serial(
  "training stops when validation no longer improves; the best checkpoint stays beside the newest",
  async (t) => {
    using tiny = new Tiny();
    const folder = await folderOf(t);
    const metrics = [0, 5, 4, 5, 3, 9];
    const options = tiny.options(folder);
    const validation = {
      ...{ every: 1, monitor: "m", patience: 3 },
      run: async () => ({ m: metrics.shift()! }),
    };
    const checkpoints = { ...options.checkpoints!, every: undefined, keep: 2 };
    const result = await fit({ ...options, validation, checkpoints });
    t.deepEqual(result, {
      reason: "stopped-early",
      step: 5,
      best: { step: 2, value: 5, checkpoint: join(folder, "step-2") },
    });
    t.deepEqual((await readdir(folder)).sort(), ["best", "latest", "step-2", "step-4", "step-5"]);

    const again = await fit({ ...options, validation, checkpoints, resume: "auto" });
    t.deepEqual(again, result, "a run that is over stays over");
    t.deepEqual(metrics, [9]);
  },
);

test.serial("the last step is validated, and a metric that is not there is named", async (t) => {
  using tiny = new Tiny();
  const at: number[] = [];
  const validation = { every: 5, monitor: "m", run: async () => ({ m: at.push(0) }) };
  await fit({ ...tiny.options(), steps: 7, validation });
  t.is(at.length, 2);
  using other = new Tiny();
  await t.throwsAsync(
    fit({ ...other.options(), steps: 7, validation: { ...validation, monitor: "n" } }),
    { instanceOf: UsageError, message: 'validation: monitor "n" is not among m' },
  );
});

/** Its loss fails at some call. */
class Failing extends Module {
  calls = 0;
  constructor(
    readonly encoder: AutoregressiveEncoder,
    readonly at: number,
    readonly fail: (loss: EncoderLoss) => EncoderLoss,
  ) {
    super();
  }
  loss(batch: Batch): EncoderLoss {
    const loss = this.encoder.loss(batch);
    return ++this.calls === this.at ? this.fail(loss) : loss;
  }
}

const nowhere = (x: Tensor): Tensor => multiply(x, Number.NaN);

test.serial(
  "a loss that is not finite ends training; the last checkpoint is untouched",
  async (t) => {
    for (const at of [6, 8, 12]) {
      using tiny = new Tiny();
      const folder = await folderOf(t);
      const failing = new Failing(tiny.model, at, (loss) => ({
        ...loss,
        loss: nowhere(loss.loss),
      }));
      const error = await t.throwsAsync(
        fit({ ...tiny.options(folder), model: failing, resume: "auto" }),
        {
          instanceOf: TrainingError,
        },
      );
      const last = 4 * Math.floor((at - 1) / 4);
      t.is(
        error.message,
        `step ${at}: not finite: loss NaN, gradient norm NaN; lower the learning rate, warm up longer or set clipNorm; ` +
          `the last checkpoint is ${join(folder, `step-${last}`)}`,
      );
      t.is(await readFile(join(folder, "latest"), "utf8"), `step-${last}\n`);
      t.true(tiny.log.every(({ step }) => step < at));

      using whole = new Tiny();
      await fit(whole.options());
      using resumed = new Tiny();
      await fit({ ...resumed.options(folder), resume: "auto" });
      t.is(await resumed.digest(), await whole.digest());
    }
  },
);

test.serial("weights that are not finite are not saved", async (t) => {
  using tiny = new Tiny({ optimizer: "sgd" });
  const folder = await folderOf(t);
  const learningRate = (step: number): number => (step === 3 ? 1e38 : 0.1);
  const failing = new Failing(tiny.model, 4, ({ loss, ...rest }) => ({
    ...rest,
    loss: multiply(loss, 1e6),
  }));
  await t.throwsAsync(
    fit({ ...tiny.options(folder), model: failing, learningRate, clipNorm: undefined }),
    { instanceOf: TrainingError, message: /^step 4: the norm of the weights is (Infinity|NaN); / },
  );
  t.deepEqual(await readdir(folder).catch(() => []), []);
});

test.serial("an op that fails ends training, and nothing of it is saved", async (t) => {
  using tiny = new Tiny();
  const folder = await folderOf(t);
  class Faulty extends Failing {
    override loss(batch: Batch): EncoderLoss {
      if (++this.calls !== 4) return this.encoder.loss(batch);
      const { shape } = batch.inputs.item!;
      const beyond = tensor(new Int32Array(shape[0]! * shape[1]!).fill(1000), { shape });
      return this.encoder.loss({ ...batch, inputs: { ...batch.inputs, item: beyond } });
    }
  }
  const model = new Faulty(tiny.model, 0, (loss) => loss);
  await t.throwsAsync(fit({ ...tiny.options(folder), model }), {
    instanceOf: NativeError,
    message: /1000/,
  });
  t.deepEqual(await readdir(folder).catch(() => []), []);
});

test.serial("a step in which nothing counts changes nothing", async (t) => {
  using tiny = new Tiny({ optimizer: "sgd" });
  const empty = new Failing(tiny.model, 1, ({ loss, parts }) => ({
    loss: nowhere(loss),
    parts,
    count: 0,
  }));
  const start = await weightsOf(tiny.model);
  await fit({ ...tiny.options(), model: empty, steps: 1, learningRate: () => 1 });
  t.deepEqual(await weightsOf(tiny.model), start);
  t.is(tiny.log[0]!.values.loss, 0);
  empty.calls = 0;
  await fit({ ...tiny.options(), model: empty, steps: 1, accumulate: 2, learningRate: () => 1 });
  t.notDeepEqual(await weightsOf(tiny.model), start);
});

test.serial(
  "abort: during a validation, while waiting for a batch, and before the first step",
  async (t) => {
    using whole = new Tiny();
    const validation = { every: 4, monitor: "m", run: async () => ({ m: 1 }) };
    await fit({ ...whole.options(), validation });

    const folder = await folderOf(t);
    const log: unknown[] = [];
    const onLog = (record: unknown) => void log.push(record);
    {
      using tiny = new Tiny();
      const controller = new AbortController();
      const run = async (signal: AbortSignal | undefined) => {
        controller.abort();
        signal!.throwIfAborted();
        return {};
      };
      const result = await fit({
        ...tiny.options(folder),
        ...{ validation: { ...validation, run }, signal: controller.signal },
      });
      t.deepEqual(result, { reason: "aborted", step: 4 });
      t.true(tiny.model.training);
    }
    {
      using tiny = new Tiny();
      const controller = new AbortController();
      const { model, loader } = tiny;
      const batches = {
        batches: loader.batches,
        state: () => loader.state(),
        load: (state: Parameters<typeof loader.load>[0]) => loader.load(state),
        async *[Symbol.asyncIterator]() {
          let taken = 0;
          for await (const batch of loader) {
            yield batch;
            if (++taken < 3) continue;
            controller.abort();
            rand([2]).dispose(); // what a step that is broken off has drawn does not count
            controller.signal.throwIfAborted();
          }
        },
      };
      const { signal } = controller;
      const options = { ...tiny.options(folder), model, batches, validation, signal, onLog };
      const result = await fit({ ...options, resume: "auto" });
      t.deepEqual(result.reason, "aborted");
      t.is(result.step, 7);
      t.deepEqual(result.best?.step, 4, "the validation was made up for");
      t.deepEqual(await fit({ ...options, resume: "auto", signal: AbortSignal.abort() }), result);
    }
    using tiny = new Tiny();
    const result = await fit({ ...tiny.options(folder), validation, onLog, resume: "auto" });
    t.is(result.reason, "finished");
    t.is(await tiny.digest(), await whole.digest());
  },
);

test.serial("progress counts from where the run stands, and figures come in order", async (t) => {
  const folder = await folderOf(t);
  const told: Progress[] = [];
  using tiny = new Tiny();
  const options = {
    ...tiny.options(folder),
    onProgress: (progress: Progress) => void told.push(progress),
  };
  const learningRate = (step: number): number => (step === 4 ? (t.fail() as never) : 0.1);
  await fit({ ...options, steps: 4, learningRate: (step) => Math.min(0.1, learningRate(step)) });
  t.deepEqual(
    told.map(({ done }) => done),
    [0, 1, 2, 3, 4],
  );
  told.length = 0;
  await fit({ ...options, steps: 6, learningRate: () => 0.1, resume: "auto" });
  t.deepEqual(
    told.map(({ done, total, unit, task }) => [done, total, unit, task]),
    [
      [4, 6, "steps", "training"],
      [5, 6, "steps", "training"],
      [6, 6, "steps", "training"],
    ],
  );
  t.deepEqual(Object.keys(told[1]!.values!), ["loss", "lr", "examples/s"]);
});

test.serial("memory is the same at step 5 and at step 50", async (t) => {
  using tiny = new Tiny({ layout: "ragged", precision: "bfloat16" });
  const at = new Map<number, { tensors: number; bytes: number }>();
  const validation = {
    ...{ every: 5, monitor: "m" },
    async run() {
      const { tensors, bytes } = memory();
      at.set(5 * (at.size + 1), { tensors, bytes });
      return { m: 1 };
    },
  };
  await fit({
    ...tiny.options(),
    steps: 50,
    accumulate: 2,
    logEvery: 7,
    learningRate: () => 0.01,
    validation,
  });
  t.is(at.size, 10);
  t.is(at.get(50)!.tensors, at.get(5)!.tensors);
  // The batches gathered ahead differ in length.
  t.true(Math.abs(at.get(50)!.bytes - at.get(5)!.bytes) < 4096, JSON.stringify([...at]));
});

test.serial("timers fire on time while a larger model trains", async (t) => {
  using tiny = new Tiny({ batchSize: 32 });
  using model = new AutoregressiveEncoder(
    { features: tiny.model.features, length: 6 },
    { layers: 4, width: 128, heads: 4 },
  );
  using optimizer = new AdamW(model.namedParameters());
  const options = { ...tiny.options(), model, optimizer, learningRate: () => 1e-3 };
  let p99 = Infinity;
  // A machine with other work may be late by itself.
  for (let attempt = 0; attempt < 5 && p99 >= 50; attempt++) {
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    await fit({ ...options, steps: 30 });
    delay.disable();
    p99 = delay.percentile(99) / 1e6;
    t.log(`event-loop delay p50 ${delay.percentile(50) / 1e6} ms, p99 ${p99} ms`);
  }
  t.true(p99 < 50, `${p99} ms`);
});

test.serial("what cannot be trained is refused", async (t) => {
  using tiny = new Tiny();
  const options = tiny.options();
  const refused = (change: object, message: string | RegExp) =>
    t.throwsAsync(fit({ ...options, ...change }), { instanceOf: UsageError, message });
  await refused({ steps: 0 }, "fit: steps must be a whole number from 1, got 0");
  await refused({ accumulate: 1.5 }, "fit: accumulate must be a whole number from 1, got 1.5");
  await refused({ resume: "auto" }, "fit: resume needs checkpoints");
  await refused({ learningRate: () => Number.NaN }, /^AdamW: learningRate must be/);
  await refused(
    { model: new Failing(tiny.model, 0, (loss) => loss).setTrainable(false) },
    "fit: the model has nothing to train",
  );
  tiny.model.setTrainable(true);
  const folder = await folderOf(t);
  await fit({ ...tiny.options(folder), steps: 4, learningRate: () => 0.1 });
  await t.throwsAsync(fit(tiny.options(folder)), {
    instanceOf: UsageError,
    message: `fit: ${folder} holds step-4; resume, or use another folder`,
  });
  await t.throwsAsync(fit({ ...tiny.options(folder), resume: "elsewhere/step-4" }), {
    instanceOf: UsageError,
    message: `resume: expected "auto" or a checkpoint in ${folder}, got elsewhere/step-4`,
  });
});

test.serial("batches that end are an error that says what to do", async (t) => {
  using tiny = new Tiny();
  const { loader } = tiny;
  const batches = {
    batches: loader.batches,
    state: () => loader.state(),
    load: () => undefined,
    async *[Symbol.asyncIterator]() {
      for await (const batch of loader) {
        yield batch;
        return;
      }
    },
  };
  await t.throwsAsync(fit({ ...tiny.options(), batches, steps: 3 }), {
    instanceOf: UsageError,
    message: "fit: the batches ended after step 1; make them with epochs: Infinity",
  });
});
