/** bfloat16 copies of parameters: made once, kept up to date by every optimizer. */
import test, { type ExecutionContext } from "ava";
import { Parameter } from "../../src/autograd/parameter.js";
import { valueAndGrad } from "../../src/autograd/value-and-grad.js";
import { DTypeError, ShapeError, UsageError } from "../../src/errors.js";
import { native } from "../../src/native.js";
import { Linear } from "../../src/nn/index.js";
import { adamwStep, cast, gather, linear, multiply, sum } from "../../src/ops/index.js";
import {
  Adafactor,
  AdamW,
  Lion,
  SGD,
  type StepOptions,
  type StepResult,
} from "../../src/optim/index.js";
import { memory, type Tensor, tensor, tidy } from "../../src/tensor/index.js";

new Linear(1, 1).dispose(); // makes the default generator, which lives on

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

interface Optimizer extends Disposable {
  step(gradients: Map<Parameter, Tensor>, options?: StepOptions): StepResult;
}
const optimizers: Record<string, (of: Parameter[]) => Optimizer> = {
  Adafactor: (of) => new Adafactor(of, { learningRate: 0.1 }),
  "Adafactor with momentum": (of) => new Adafactor(of, { learningRate: 0.1, beta1: 0.9 }),
  AdamW: (of) => new AdamW(of, { learningRate: 0.1 }),
  Lion: (of) => new Lion(of, { learningRate: 0.1 }),
  SGD: (of) => new SGD(of, { learningRate: 0.1, weightDecay: 0.1 }),
  "SGD with momentum": (of) => new SGD(of, { learningRate: 0.1, momentum: 0.9 }),
};

const wave = (shape: readonly number[], frequency: number): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) =>
      Math.sin(frequency * (i + 1)),
    ),
    { shape },
  );
/** More than one task, odd ends, one element, none. */
const shapes = [[7], [3, 63], [1], [199, 101], [0, 5], [2, 3, 5], [17_001]];
const parametersOf = (): Parameter[] =>
  shapes.map((shape, i) => new Parameter(wave(shape, 0.7 + i)));
const gradientsOf = (parameters: readonly Parameter[], step: number): Map<Parameter, Tensor> =>
  new Map(parameters.map((p, i) => [p, wave(p.shape, 1.3 + i + step)]));
const disposeAll = (things: Iterable<Disposable>): void => {
  for (const thing of things) thing[Symbol.dispose]();
};

const bitsOf = async (x: Tensor): Promise<Uint16Array> => (await x.data()) as Uint16Array;
async function isCast(t: ExecutionContext, parameter: Parameter): Promise<void> {
  const fresh = cast(parameter.value, "bfloat16");
  const [expected, actual] = [await bitsOf(fresh), await bitsOf(parameter.shadow)];
  t.is(Buffer.compare(Buffer.from(actual.buffer), Buffer.from(expected.buffer)), 0);
  fresh.dispose();
}

for (const [name, make] of Object.entries(optimizers)) {
  test.serial(`${name} writes the shadows along`, async (t) => {
    const parameters = parametersOf();
    const shadowed = parameters.filter((_, i) => i !== 0 && i !== 2);
    const shadows = shadowed.map(({ shadow }) => shadow);
    const optimizer = make(parameters);
    const plain = parametersOf();
    const twin = make(plain);
    for (let step = 0; step < 4; step++) {
      const [mine, theirs] = [gradientsOf(parameters, step), gradientsOf(plain, step)];
      // One of the parameters that have a shadow stands still.
      if (step === 2)
        for (const [map, [, p]] of [
          [mine, parameters],
          [theirs, plain],
        ] as const) {
          map.get(p!)!.dispose();
          map.delete(p!);
        }
      const previous = await bitsOf(shadows[1]!);
      for (const [of, map] of [
        [optimizer, mine],
        [twin, theirs],
      ] as const)
        of.step(map, { clipNorm: 100 }).gradientNorm!.dispose();
      for (const parameter of shadowed) await isCast(t, parameter);
      t.notDeepEqual(await bitsOf(shadows[1]!), previous);
      disposeAll([...mine.values(), ...theirs.values()]);
    }
    t.deepEqual(
      shadowed.map(({ shadow }) => shadow),
      shadows,
    );
    t.deepEqual(
      parameters.map(({ hasShadow }) => hasShadow),
      parameters.map((_, i) => i !== 0 && i !== 2),
    );
    for (const [i, { value }] of parameters.entries())
      t.deepEqual(await value.data(), await plain[i]!.value.data());
    disposeAll([optimizer, twin, ...parameters, ...plain]);
  });

  test.serial(`${name} rounds to nearest even, and keeps NaN and infinities`, async (t) => {
    // Halfway between two bfloat16 numbers, just beside it, carries into the exponent, overflow, denormals.
    const bits = Uint32Array.of(
      ...[0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x3fffffff, 0x7f7fffff, 0xff7f8000],
      ...[0x00000001, 0x80008000, 0x7f800000, 0xff800000, 0x7f800001, 0xffc12345, 0x80000000],
    );
    const values = new Float32Array(bits.buffer);
    const parameter = new Parameter(tensor(values));
    t.false(parameter.hasShadow);
    await isCast(t, parameter);
    const optimizer = make([parameter]);
    using gradient = tensor(new Float32Array(values.length));
    optimizer.step(new Map([[parameter, gradient]]), { learningRate: 0 });
    await isCast(t, parameter);
    disposeAll([optimizer, parameter]);
  });

  test.serial(`${name} leaves value and shadow alone when a gradient has failed`, async (t) => {
    const parameters = [[5], [3]].map((shape, i) => new Parameter(wave(shape, 1 + i)));
    const [a, b] = parameters as [Parameter, Parameter];
    const shadow = await bitsOf(a.shadow);
    const optimizer = make(parameters);
    const gradients = tidy(() => {
      const index = tensor([0, 9, 0], { dtype: "int32" });
      return new Map([
        [a, wave([5], 3)],
        [b, gather(wave([3], 2), index, 0)],
      ]);
    });
    optimizer.step(gradients);
    t.deepEqual(await bitsOf(a.shadow), shadow);
    await isCast(t, a);
    disposeAll([optimizer, ...parameters, ...gradients.values()]);
  });
}

test.serial("a shadow is made once, outside every scope and tape", async (t) => {
  const parameter = new Parameter(tensor([1.001, -2.003, 3.007]));
  const { loss, gradients } = valueAndGrad([parameter], () => {
    const shadow = tidy(() => parameter.shadow);
    return sum(multiply(parameter.value, cast(shadow, "float32")));
  });
  // The shadow is a constant: the gradient of value · shadow is the shadow, not twice the value.
  using rounded = cast(parameter.shadow, "float32");
  t.deepEqual(await gradients.get(parameter)!.data(), await rounded.data());
  t.is(parameter.shadow.dtype, "bfloat16");
  t.is(parameter.shadow, parameter.shadow);
  disposeAll([parameter, loss, ...gradients.values()]);
  t.throws(() => parameter.shadow, { instanceOf: UsageError });
});

test.serial("assigning and loading drop the shadow; the next use makes it anew", async (t) => {
  const layer = new Linear(3, 2);
  const source = new Linear(3, 2);
  const { weight } = layer;
  const old = weight.shadow;
  t.deepEqual([...layer.stateDict().keys()], ["weight", "bias"]);
  layer.loadStateDict(source.stateDict());
  t.false(weight.hasShadow);
  t.true(old.disposed);
  await isCast(t, weight);
  t.true(weight.hasShadow);
  weight.assign(weight.value);
  t.true(weight.hasShadow);
  weight.assign(wave([2, 3], 5));
  t.false(weight.hasShadow);
  weight.shadow;
  weight.dropShadow();
  t.false(weight.hasShadow);
  weight.shadow;
  disposeAll([layer, source]);
});

test.serial("only float32 values have shadows", (t) => {
  const parameter = new Parameter(tensor([1], { dtype: "float64" }));
  t.throws(() => parameter.shadow, {
    instanceOf: UsageError,
    message: "shadow: the value is float64, must be float32",
  });
  parameter.dispose();
});

test.serial("products read the shadow of the last step, and train the value", async (t) => {
  const layer = new Linear(96, 64);
  const { weight } = layer;
  using x = wave([200, 96], 0.3);
  const optimizer = new SGD([weight], { learningRate: 1 });
  const forward = (options: { shadow?: Tensor }): Tensor =>
    linear(x, weight.value, layer.bias!.value, { precision: "bfloat16", ...options });
  for (let step = 0; step < 3; step++) {
    const results = tidy(() => [forward({ shadow: weight.shadow }), forward({})]);
    const [fast, slow] = await Promise.all(results.map((result) => result.data()));
    t.deepEqual(fast, slow);
    disposeAll(results);
    const { loss, gradients } = valueAndGrad([weight], () => {
      const y = forward({ shadow: weight.shadow });
      return sum(multiply(y, y));
    });
    t.is(gradients.get(weight)!.dtype, "float32");
    const before = await weight.value.data();
    optimizer.step(gradients);
    t.notDeepEqual(await weight.value.data(), before);
    disposeAll([loss, ...gradients.values()]);
  }
  disposeAll([optimizer, layer]);
});

test.serial("repacked shadows are renewed after a step, as the parameters are", (t) => {
  for (const { name, inputs, mutates } of native.ops())
    if (inputs.includes("shadows*"))
      for (const list of ["parameters*", "shadows*"])
        t.true(mutates.includes(list), `${name}: ${list}`);
});

test.serial("shadows that do not fit are refused", (t) => {
  const live = Array.from({ length: 9 }, () => tensor([1, 2]));
  const [a, b, c, d, e, f, g, h, single] = live as [Tensor, ...Tensor[]] as Tensor[];
  const half = cast(a!, "bfloat16");
  const other = cast(b!, "bfloat16");
  const wide = tensor([1, 2, 3], { dtype: "bfloat16" });
  const doubles = Array.from({ length: 4 }, () => tensor([1, 2], { dtype: "float64" }));
  const scalars = tensor(new Float64Array(7).fill(0.5), { shape: [1, 7] });
  const counts = [0, 0].map((count) => tensor(count));
  const lists = {
    parameters: [a!, b!],
    gradients: [c!, d!],
    first: [e!, f!],
    second: [g!, h!],
    steps: counts,
    scalars,
    rows: [0, 0],
  };
  const step = (given: Partial<Parameters<typeof adamwStep>[0]>) => () =>
    adamwStep({ ...lists, ...given });
  const refusals: [() => void, new (message: string) => Error, string][] = [
    [
      step({ shadows: [half], shadowOf: [] }),
      ShapeError,
      "adamw: shadow_of must name one of parameters for each of shadows (0 vs 1)",
    ],
    [
      step({ shadows: [half], shadowOf: [2] }),
      UsageError,
      "adamw: shadow_of must be a whole number from 0 to 1, got 2",
    ],
    [
      step({ shadows: [half, other], shadowOf: [1, 0] }),
      UsageError,
      "adamw: shadow_of must ascend, got 1 before 0",
    ],
    [
      step({ shadows: [half, other], shadowOf: [1, 1] }),
      UsageError,
      "adamw: shadow_of must ascend, got 1 before 1",
    ],
    [
      step({ shadows: [wide], shadowOf: [1] }),
      ShapeError,
      "adamw: parameters[1] [2] and shadows[0] [3] must have the same shape",
    ],
    [
      step({ shadows: [single!], shadowOf: [1] }),
      DTypeError,
      "adamw: shadows is float32, must be bfloat16",
    ],
    [
      step({ shadows: [half, half], shadowOf: [0, 1] }),
      UsageError,
      "adamw: shadows[0] and shadows[1] share memory; what the op changes must be its own",
    ],
    [
      step({
        parameters: [doubles[0]!],
        gradients: [doubles[1]!],
        first: [doubles[2]!],
        second: [doubles[3]!],
        steps: [counts[0]!],
        rows: [0],
        shadows: [half],
        shadowOf: [0],
      }),
      DTypeError,
      "adamw: parameters is float64, must be float32",
    ],
  ];
  for (const [call, instanceOf, message] of refusals) t.throws(call, { instanceOf, message });
  disposeAll([...live, ...doubles, half, other, wide, scalars, ...counts]);
});
