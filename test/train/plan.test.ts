import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { valueAndGrad } from "../../src/autograd/index.js";
import { Loader, PreparedData, prepareSynthetic, split } from "../../src/data/index.js";
import { UsageError } from "../../src/errors.js";
import { AutoregressiveEncoder, type AutoregressiveOptions } from "../../src/models/index.js";
import { countFlops, defaultGenerator, Generator } from "../../src/ops/index.js";
import { AdamW } from "../../src/optim/index.js";
import { encoderDataOf } from "../../src/recipes/encoder-data.js";
import { memory, resetPeakMemory, synchronize, tidy } from "../../src/tensor/index.js";
import { fit, planTraining, type TrainingPlan } from "../../src/train/index.js";

const folder = await mkdtemp(join(tmpdir(), "user-llm-plan-"));
await prepareSynthetic(join(folder, "data"), { preset: "tiny", oracleUsers: 0 });
const data = await PreparedData.open(join(folder, "data"));
const { train } = await split(data, { length: 20, windows: "padded" });
const encoderData = encoderDataOf(data, 20);
test.after.always(async () => {
  data.close();
  await rm(folder, { recursive: true });
});

const options = { layers: 2, width: 32, heads: 4, dropout: 0.1 };

function parts(more: AutoregressiveOptions = {}, layout: "padded" | "ragged" = "padded") {
  const generator = new Generator(1);
  const model = new AutoregressiveEncoder(encoderData, { ...options, generator, ...more });
  const optimizer = new AdamW(model.namedParameters());
  const batches = new Loader(data, train, {
    ...{ batchSize: 32, layout, shuffle: true, epochs: Number.POSITIVE_INFINITY },
    features: encoderData.features.map(({ name }) => name),
  });
  return {
    ...{ model, optimizer, batches, generator, generators: [generator], clipNorm: 1 },
    [Symbol.dispose]() {
      model.dispose();
      optimizer.dispose();
    },
  };
}

/** The peak of a real training of ten steps. */
async function realPeak(more: AutoregressiveOptions): Promise<number> {
  using real = parts(more);
  await synchronize();
  resetPeakMemory();
  await fit({ ...real, steps: 10, learningRate: () => 1e-3 });
  return memory().peakBytes;
}

for (const precision of ["float32", "bfloat16"] as const)
  test.serial(
    `in ${precision}, the peak is that of training, the count that of a step`,
    async (t) => {
      using planned = parts({ precision });
      const plan = await planTraining({ ...planned, steps: 100, timedSteps: 3 });
      planned.optimizer.dispose();
      planned.model.dispose();
      const peak = await realPeak({ precision });
      t.true(Math.abs(plan.memory.peak / peak - 1) < 0.05, `${plan.memory.peak} and ${peak}`);

      using again = parts({ precision });
      const flops = await firstStepFlops(again);
      t.deepEqual(plan.flops, flops);
    },
  );

/** The count of the first step, without the loop. */
async function firstStepFlops({ model, optimizer, batches }: ReturnType<typeof parts>) {
  for await (const batch of batches) {
    const { result: _, ...count } = await countFlops(() =>
      tidy(() => {
        const { gradients } = valueAndGrad(model.trainable(), () => model.loss(batch));
        optimizer.step(gradients, { clipNorm: 1 });
      }),
    );
    return count;
  }
  return undefined;
}

test.serial("what is known beforehand is exact", async (t) => {
  using planned = parts({ precision: "bfloat16" });
  const { model, batches } = planned;
  const plan = await planTraining({
    ...planned,
    steps: 100,
    timedSteps: 1,
    accumulate: 2,
    checkpoints: 3,
  });
  const { parameterCount: total } = model;
  t.like(plan.parameters, { total, trainable: total });
  t.is(
    plan.parameters.parts.reduce((sum, { parameters }) => sum + parameters, 0),
    total,
  );
  const names = plan.parameters.parts.map(({ name }) => name);
  t.deepEqual(names.slice(0, 3), [
    "events.tables.item",
    "events.tables.rating",
    "events.tables.genres",
  ]);
  t.true(names.includes("blocks") && names.includes("heads.projections.item"), names.join());
  const { weights, gradients, optimizer, shadows, activations, peak, limit } = plan.memory;
  t.is(weights, 4 * total);
  t.is(gradients, 4 * total);
  // Two moments, and a count of steps for each parameter.
  t.is(optimizer, 8 * total + 4 * model.parameters().length);
  t.true(shadows > 0 && shadows <= 2 * total);
  t.true(activations > 0 && peak >= weights + gradients + optimizer + shadows && peak < limit);
  t.is(plan.epochs, 200 / batches.batches);
  t.is(plan.examples, 100 * 2 * 32);
  t.true(plan.positions > plan.examples && plan.positions <= plan.examples * 20);
  t.is(plan.time.training, 100 * plan.time.step.median);
  t.true(plan.time.step.fastest > 0);
  t.deepEqual(plan.disk, {
    checkpoint: weights + optimizer,
    checkpoints: 3 * (weights + optimizer),
  });
});

test.serial("the spread of the timed steps is told", async (t) => {
  using planned = parts();
  const { step, stepsTimed } = (await planTraining({ ...planned, steps: 1, timedSteps: 4 })).time;
  t.is(stepsTimed, 4);
  t.true(step.fastest <= step.median && step.median <= step.slowest);
});

test.serial("nothing has moved: a training afterwards is the same as without", async (t) => {
  const trained = async (plans: boolean) => {
    using real = parts({}, "ragged");
    const before = await weightsOf(real.model);
    const generators = [defaultGenerator, real.generator].map((each) => each.state());
    const tensors = memory().tensors;
    real.model.blocks[0]!.eval();
    if (plans) {
      await planTraining({ ...real, steps: 5, timedSteps: 1 });
      t.deepEqual(await weightsOf(real.model), before);
      t.deepEqual(
        [defaultGenerator, real.generator].map((each) => each.state()),
        generators,
      );
      t.is(real.optimizer.state().size, 0);
      t.false(real.model.blocks[0]!.training);
      t.true(real.model.training);
      t.true(memory().tensors - tensors <= 1, "the generator's own tensor may have been made");
    }
    await fit({ ...real, steps: 3, learningRate: () => 1e-3 });
    return weightsOf(real.model);
  };
  t.deepEqual(await trained(true), await trained(false));
});

async function weightsOf(model: AutoregressiveEncoder): Promise<unknown[]> {
  return Promise.all(model.parameters().map(({ value }) => value.data()));
}

test.serial("frozen parts have no gradients and no state", async (t) => {
  using planned = parts();
  for (const { weight } of planned.model.events.tables.values()) weight.trainable = false;
  using optimizer = new AdamW(
    [...planned.model.namedParameters()].filter(([, { trainable }]) => trainable),
  );
  const plan: TrainingPlan = await planTraining({ ...planned, optimizer, steps: 1, timedSteps: 1 });
  const { total, trainable, parts: table } = plan.parameters;
  t.true(trainable < total);
  t.like(table[0], { name: "events.tables.item", trainable: 0 });
  t.is(plan.memory.gradients, 4 * trainable);
});

test.serial("a signal stops it, and everything is as before", async (t) => {
  using planned = parts();
  const before = memory().tensors;
  const controller = new AbortController();
  await t.throwsAsync(
    planTraining({
      ...{ ...planned, steps: 1, signal: controller.signal },
      onProgress: ({ done }) => done === 2 && controller.abort(new UsageError("enough")),
    }),
    { message: "enough" },
  );
  t.is(planned.optimizer.state().size, 0);
  t.true(memory().tensors - before <= 1);
});

test.serial("an optimizer with a state is refused", async (t) => {
  using planned = parts();
  await fit({ ...planned, steps: 1, learningRate: () => 0 });
  await t.throwsAsync(planTraining({ ...planned, steps: 1 }), {
    instanceOf: UsageError,
    message: "planTraining: the optimizer has made steps; plan before training",
  });
});
