import test from "ava";
import { Parameter } from "../../src/autograd/parameter.js";
import { valueAndGrad } from "../../src/autograd/value-and-grad.js";
import { DTypeError, ShapeError, UsageError } from "../../src/errors.js";
import { add, matmul, mean, multiply, slice, subtract, sum } from "../../src/ops/index.js";
import { clipGradNorm, GradientAccumulator } from "../../src/optim/index.js";
import { memory, type Tensor, tensor } from "../../src/tensor/index.js";

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

const dispose = (things: Iterable<Disposable>): void => {
  for (const thing of things) thing[Symbol.dispose]();
};

test.serial(
  "micro-batches of different lengths give the gradient of the whole batch",
  async (t) => {
    const rows = 12;
    const width = 3;
    const wave = (size: number, by: number) =>
      Float64Array.from({ length: size }, (_, i) => Math.sin(i * by));
    using x = tensor(wave(rows * width, 0.7), { shape: [rows, width] });
    using y = tensor(wave(rows, 1.3), { shape: [rows, 1] });
    const weight = new Parameter(tensor(wave(width, 2), { shape: [width, 1] }));
    const bias = new Parameter(tensor([[0.5]], { dtype: "float64" }));
    const gradientsOf = (begin: number, end: number, withBias: boolean) => {
      const { loss, gradients } = valueAndGrad([weight, bias], () => {
        const inputs = slice(x, 0, begin, end);
        let error = subtract(matmul(inputs, weight.value), slice(y, 0, begin, end));
        if (withBias) error = subtract(error, bias.value);
        return mean(multiply(error, error));
      });
      loss.dispose();
      return gradients;
    };

    const whole = gradientsOf(0, rows, true);
    using accumulator = new GradientAccumulator();
    using seven = tensor([7], { dtype: "int32" });
    for (const [begin, end, count] of [
      [0, 1, 1],
      [1, 8, seven],
      [8, 12, 4],
    ] as const) {
      const part = gradientsOf(begin, end, true);
      accumulator.add(part, count);
      dispose(part.values());
    }
    const result = accumulator.result();
    t.deepEqual([...result.keys()], [weight, bias]);
    for (const [parameter, gradient] of result) {
      const expected = await whole.get(parameter)!.data();
      for (const [i, value] of (await gradient.data()).entries())
        t.true(Math.abs(value - expected[i]!) < 1e-15, `${value} ${expected[i]}`);
    }
    t.is(accumulator.result().size, 0);
    dispose([...whole.values(), ...result.values(), weight, bias]);
  },
);

test.serial("a parameter that some micro-batches lack counts as zero there", async (t) => {
  const a = new Parameter(tensor([0]));
  const b = new Parameter(tensor([0]));
  const accumulator = new GradientAccumulator();
  const gradient = tensor([8]);
  accumulator.add(new Map([[a, gradient]]), 1);
  accumulator.add(
    new Map([
      [a, gradient],
      [b, gradient],
    ]),
    3,
  );
  const result = accumulator.result();
  t.is(await result.get(a)!.item(), 8);
  t.is(await result.get(b)!.item(), 6);
  dispose([a, b, gradient, ...result.values()]);
});

test.serial("a micro-batch without tokens adds nothing, not even its NaN", async (t) => {
  const a = new Parameter(tensor([0]));
  const accumulator = new GradientAccumulator();
  const nan = tensor([Number.NaN]);
  const three = tensor([3]);
  accumulator.add(new Map([[a, nan]]), 0);
  const empty = accumulator.result();
  t.is(await empty.get(a)!.item(), 0);
  accumulator.add(new Map([[a, nan]]), 0);
  accumulator.add(new Map([[a, three]]), 2);
  const result = accumulator.result();
  t.is(await result.get(a)!.item(), 3);
  dispose([a, nan, three, ...empty.values(), ...result.values()]);
});

test.serial("gradients and weights that do not fit are refused", (t) => {
  const a = new Parameter(tensor([0]));
  const one = tensor([1]);
  const wide = tensor([1, 2]);
  const bytes = tensor([1], { dtype: "uint8" });
  const accumulator = new GradientAccumulator();
  accumulator.add(new Map([[a, one]]), 1);
  t.throws(() => accumulator.add(new Map([[a, wide]]), 1), {
    instanceOf: ShapeError,
    message: "accumulate_weighted: targets[0] [1] and values[0] [2] must have the same shape",
  });
  t.throws(() => accumulator.add(new Map([[a, one]]), -1), {
    instanceOf: UsageError,
    message: "GradientAccumulator: weight must be a finite number from 0 on, got -1",
  });
  t.throws(() => accumulator.add(new Map([[a, one]]), bytes), { instanceOf: DTypeError });
  t.throws(() => accumulator.add(new Map([[a, one]]), wide), { instanceOf: ShapeError });
  dispose([a, one, wide, bytes, accumulator]);
});

test.serial(
  "clipGradNorm brings the common norm down to the limit, or changes nothing",
  async (t) => {
    const a = new Parameter(tensor([0, 0]));
    const b = new Parameter(tensor([0]));
    const read = async (gradients: Map<Parameter, Tensor>) =>
      (await Promise.all([...gradients.values()].map((gradient) => gradient.data()))).flatMap(
        (x) => [...x],
      );
    const gradients = new Map([
      [a, tensor([2, 3])],
      [b, tensor([6])],
    ]);
    const norm = clipGradNorm(gradients, 8);
    t.is(await norm.item(), 7);
    t.deepEqual(await read(gradients), [2, 3, 6]);
    const again = clipGradNorm(gradients, 0.7);
    t.is(await again.item(), 7);
    for (const [i, value] of (await read(gradients)).entries())
      t.true(Math.abs(value - [0.2, 0.3, 0.6][i]!) < 1e-6);
    dispose([a, b, norm, again, ...gradients.values()]);
  },
);

test.serial("clipGradNorm takes gradients that share memory", async (t) => {
  const a = new Parameter(tensor([1]));
  const b = new Parameter(tensor([1]));
  const { loss, gradients } = valueAndGrad([a, b], () => sum(add(a.value, b.value)));
  const norm = clipGradNorm(gradients, Math.SQRT1_2);
  for (const gradient of gradients.values()) t.true(Math.abs((await gradient.item()) - 0.5) < 1e-6);
  dispose([loss, norm, a, b, ...gradients.values()]);
});
