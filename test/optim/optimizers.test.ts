import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { Parameter } from "../../src/autograd/parameter.js";
import { valueAndGrad } from "../../src/autograd/value-and-grad.js";
import {
  CheckpointError,
  DTypeError,
  NativeError,
  ShapeError,
  UsageError,
} from "../../src/errors.js";
import {
  adafactorStep,
  adamwStep,
  clone,
  gather,
  multiply,
  reshape,
  sgdStep,
  subtract,
  sum,
} from "../../src/ops/index.js";
import { Adafactor, AdamW, Lion, SGD, type StepOptions } from "../../src/optim/index.js";
import {
  memory,
  openSafetensors,
  saveSafetensors,
  type Tensor,
  tensor,
} from "../../src/tensor/index.js";

// Each test returns what it has borrowed; they share one count of live tensors.
let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

type Precision = "float32" | "float64";
type Optimizer = AdamW | SGD | Lion | Adafactor;

const shapes = [[3, 5], [7], [1], [4, 3, 2], [1, 1], [0, 3], []];
const ramp = (shape: readonly number[], value: (i: number) => number, dtype: Precision): Tensor =>
  tensor(
    Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => value(i)),
    {
      shape,
      dtype,
    },
  );
const parametersOf = (dtype: Precision): Parameter[] =>
  shapes.map((shape, i) => new Parameter(ramp(shape, (k) => Math.sin(k * (0.1 + i)), dtype)));

/** The gradients of scripts/goldens-optimizers.py. */
function gradientsOf(parameters: readonly Parameter[], step: number, dtype: Precision) {
  const gradients = new Map<Parameter, Tensor>();
  parameters.forEach((parameter, i) => {
    if (i === 2 && step % 3 === 0) return;
    gradients.set(
      parameter,
      ramp(parameter.shape, (k) => Math.cos(k * (0.3 + i) + step), dtype),
    );
  });
  return gradients;
}

const dispose = (things: Iterable<Disposable>): void => {
  for (const thing of things) thing[Symbol.dispose]();
};

async function run(
  optimizer: Optimizer,
  parameters: readonly Parameter[],
  dtype: Precision,
  steps: readonly [from: number, to: number],
  options: StepOptions = {},
): Promise<number[]> {
  const norms: number[] = [];
  for (let step = steps[0]; step < steps[1]; step++) {
    const gradients = gradientsOf(parameters, step, dtype);
    const { gradientNorm } = optimizer.step(gradients, options);
    if (gradientNorm) norms.push(await gradientNorm.item());
    gradientNorm?.dispose();
    dispose(gradients.values());
  }
  return norms;
}

const read = (parameters: readonly Parameter[]) =>
  Promise.all(parameters.map(({ value }) => value.data()));

const adamw = { learningRate: 3e-3, betas: [0.9, 0.99], weightDecay: 0.1 } as const;
const sgd = { learningRate: 1e-2, weightDecay: 0.05 };
const lion = { learningRate: 1e-2, weightDecay: 0.1 };
const adafactor = { learningRate: 0.1 };
const isMatrix = ({ shape }: Parameter): boolean => shape.length > 1;
const goldens: [name: string, make: (of: Parameter[]) => Optimizer, clipNorm?: number][] = [
  ["adafactor", (of) => new Adafactor(of, adafactor)],
  [
    "adafactor_clipped",
    (of) => new Adafactor(of, { ...adafactor, beta1: 0.9, weightDecay: 0.1 }),
    0.5,
  ],
  [
    "adafactor_groups",
    (of) =>
      new Adafactor(of, {
        learningRate: 0.02,
        scaleParameter: false,
        weightDecay: 0.1,
        decay: isMatrix,
        learningRateScale: (parameter) => (isMatrix(parameter) ? 1 : 0.5),
      }),
  ],
  [
    "adafactor_relative",
    (of) => new Adafactor(of, { relativeStep: true, clipThreshold: 0.7, decayRate: -0.6 }),
  ],
  [
    "adafactor_warmup",
    (of) => new Adafactor(of, { relativeStep: true, warmupInit: true, eps: [1e-3, 0.5] }),
  ],
  ["adamw", (of) => new AdamW(of, adamw)],
  ["adamw_clipped", (of) => new AdamW(of, adamw), 0.5],
  [
    "adamw_groups",
    (of) =>
      new AdamW(of, {
        ...adamw,
        decay: isMatrix,
        learningRateScale: (parameter) => (isMatrix(parameter) ? 1 : 0.5),
      }),
  ],
  ["lion", (of) => new Lion(of, lion)],
  ["lion_clipped", (of) => new Lion(of, lion), 0.5],
  ["sgd", (of) => new SGD(of, sgd)],
  ["sgd_momentum", (of) => new SGD(of, { ...sgd, momentum: 0.9 }), 1],
  ["sgd_nesterov", (of) => new SGD(of, { ...sgd, momentum: 0.9, nesterov: true })],
];
for (const [name, make, clipNorm] of goldens)
  for (const dtype of ["float32", "float64"] as const)
    test.serial(`${name} has the golden's numbers, ${dtype}`, async (t) => {
      const path = new URL("../golden/optimizers/steps.safetensors", import.meta.url).pathname;
      await using golden = await openSafetensors(path);
      const expected = async (key: string): Promise<number[]> => {
        using values = await golden.read(`${name}.${key}`, { dtype: "float64" });
        return [...(await values.data())];
      };
      const tolerance = dtype === "float32" ? 3e-6 : 1e-14;
      const parameters = parametersOf(dtype);
      const optimizer = make(parameters);
      const norms = await run(optimizer, parameters, dtype, [0, 20], { clipNorm });
      const results = await read(parameters);
      for (const [i, result] of results.entries())
        for (const [k, value] of (await expected(String(i))).entries())
          t.true(Math.abs(result[k]! - value) <= tolerance, `${i}[${k}]: ${result[k]}, ${value}`);
      t.is(norms.length, clipNorm === undefined ? 0 : 20);
      if (clipNorm !== undefined)
        for (const [k, norm] of (await expected("norms")).entries())
          t.true(Math.abs(norms[k]! / norm - 1) <= tolerance);
      dispose([optimizer, ...parameters]);
    });

for (const [name, make] of goldens)
  test.serial(`${name} resumes exactly from a checkpoint`, async (t) => {
    const named = (of: Parameter[]): [string, Parameter][] => of.map((p, i) => [`layer.${i}`, p]);
    const straight = parametersOf("float32");
    const first = make(named(straight) as never);
    await run(first, straight, "float32", [0, 1]);

    const path = join(tmpdir(), `user-llm-optimizer-${process.pid}.safetensors`);
    await saveSafetensors(path, first.state());
    t.false([...first.state().keys()].some((key) => key.startsWith("layer.2.")));
    const copies = straight.map(({ value }) => new Parameter(clone(value)));
    await run(first, straight, "float32", [1, 7]);

    const second = make(named(copies) as never);
    await using file = await openSafetensors(path);
    const loaded = await file.readAll();
    second.loadState(loaded);
    dispose(loaded.values());
    await rm(path);
    await run(second, copies, "float32", [1, 7]);
    t.deepEqual(await read(copies), await read(straight));
    t.deepEqual([...second.state().keys()], [...first.state().keys()]);
    for (const [key, tensor] of second.state())
      t.deepEqual(await tensor.data(), await first.state().get(key)!.data());
    dispose([first, second, ...straight, ...copies]);
  });

test.serial("a gradient that failed changes nothing, in no parameter", async (t) => {
  for (const make of [
    (of: Parameter[]) => new AdamW(of, { decay: isMatrix }),
    (of: Parameter[]) => new SGD(of, { momentum: 0.9 }),
    (of: Parameter[]) => new Lion(of),
    (of: Parameter[]) => new Adafactor(of, { learningRate: 0.1, beta1: 0.9 }),
  ])
    for (const clipNorm of [undefined, 1]) {
      const parameters = parametersOf("float32");
      const optimizer = make(parameters);
      await run(optimizer, parameters, "float32", [1, 2]);
      const values = await read(parameters);
      const states = [...optimizer.state().values()];
      const state = await Promise.all(states.map((tensor) => tensor.data()));

      const gradients = gradientsOf(parameters, 1, "float32");
      using index = tensor([0, 0, 9, 0, 0, 0, 0], { dtype: "int32" });
      const good = gradients.get(parameters[1]!)!;
      gradients.set(parameters[1]!, gather(good, index, 0));
      good.dispose();
      const { gradientNorm } = optimizer.step(gradients, { clipNorm });
      if (gradientNorm) await t.throwsAsync(gradientNorm.item(), { instanceOf: NativeError });
      t.deepEqual(await read(parameters), values);
      t.deepEqual(await Promise.all(states.map((tensor) => tensor.data())), state);
      gradientNorm?.dispose();
      dispose([optimizer, ...parameters, ...gradients.values()]);
    }
});

for (const [name, make, clipNorm] of goldens)
  test.serial(`${name} goes on after a failed gradient as if it had not been`, async (t) => {
    const [mine, theirs] = [parametersOf("float32"), parametersOf("float32")];
    const [stumbling, straight] = [make(mine), make(theirs)];
    for (const step of [1, 2]) {
      using index = tensor([9, 0, 0, 0, 0, 0, 0], { dtype: "int32" });
      using good = ramp([7], () => 1, "float32");
      const failed = new Map([[mine[1]!, gather(good, index, 0)]]);
      stumbling.step(failed, { clipNorm }).gradientNorm?.dispose();
      dispose(failed.values());
      await run(stumbling, mine, "float32", [step, step + 1], { clipNorm });
      await run(straight, theirs, "float32", [step, step + 1], { clipNorm });
    }
    t.deepEqual(await read(mine), await read(theirs));
    dispose([stumbling, straight, ...mine, ...theirs]);
  });

test.serial("parameters without a gradient keep value and state", async (t) => {
  const parameters = parametersOf("float32");
  const optimizer = new AdamW(parameters, { weightDecay: 0.5 });
  const [a, b] = parameters as [Parameter, Parameter];
  const untouched = await b.value.data();
  const gradients = new Map([[a, ramp(a.shape, () => 1, "float32")]]);
  const { gradientNorm } = optimizer.step(gradients, { gradientNorm: true });
  t.is(await gradientNorm!.item(), Math.fround(Math.sqrt(15)));
  t.deepEqual(await b.value.data(), untouched);
  t.deepEqual([...optimizer.state().keys()], ["0.first", "0.second", "0.step"]);
  t.is(await optimizer.state().get("0.step")!.item(), 1);
  t.is(optimizer.step(new Map()).gradientNorm, undefined);
  const { gradientNorm: none } = optimizer.step(new Map(), { clipNorm: 1 });
  t.is(await none!.item(), 0);
  none!.dispose();
  gradientNorm!.dispose();
  dispose([optimizer, ...parameters, ...gradients.values()]);
});

test.serial("the gradient scale comes before clipping", async (t) => {
  const parameter = new Parameter(tensor([0, 0]));
  using optimizer = new SGD([parameter], { learningRate: 1 });
  const gradients = new Map([[parameter, tensor([30, 40])]]);
  const { gradientNorm } = optimizer.step(gradients, { gradientScale: 0.1, clipNorm: 1 });
  t.is(await gradientNorm!.item(), 50);
  const [x, y] = await parameter.value.data();
  t.true(Math.abs(x! + 0.6) < 1e-6 && Math.abs(y! + 0.8) < 1e-6, `${x} ${y}`);
  gradientNorm!.dispose();
  dispose([parameter, ...gradients.values()]);
});

test.serial("minimises a loss together with valueAndGrad", async (t) => {
  const x = new Parameter(tensor([3, -2, 1]));
  using optimizer = new AdamW([x], { learningRate: 0.1, weightDecay: 0 });
  using target = tensor([1, 1, 1]);
  for (let step = 0; step < 200; step++) {
    const { loss, gradients } = valueAndGrad([x], () => {
      const error = subtract(x.value, target);
      return sum(multiply(error, error));
    });
    optimizer.step(gradients);
    loss.dispose();
    dispose(gradients.values());
  }
  for (const value of await x.value.data()) t.true(Math.abs(value - 1) < 1e-2);
  t.throws(
    () =>
      valueAndGrad([x], () => {
        optimizer.step(new Map());
        return sum(x.value);
      }),
    { instanceOf: UsageError, message: "AdamW: step inside valueAndGrad; step after it" },
  );
  x.dispose();
});

test.serial("lists that do not match are refused", (t) => {
  const a = tensor([1, 2]);
  const b = tensor([1, 2]);
  const c = tensor([1, 2]);
  const d = tensor([1, 2]);
  const wide = tensor([1, 2, 3]);
  const double = tensor([1, 2], { dtype: "float64" });
  const view = reshape(b, [2]);
  const scalars = tensor(new Float64Array(7).fill(0.5), { shape: [1, 7] });
  const single = tensor(new Float32Array(7), { shape: [1, 7] });
  const count = tensor(0);
  const one = (given: Partial<Parameters<typeof adamwStep>[0]>) => () =>
    adamwStep({
      parameters: [a],
      gradients: [b],
      first: [c],
      second: [d],
      steps: [count],
      scalars,
      rows: [0],
      ...given,
    });
  const matrix = tensor([[1, 2]]);
  const [gradient, row, column] = [tensor([[1, 2]]), tensor([1]), tensor([1, 2])];
  const nine = tensor(new Float64Array(9).fill(0.5), { shape: [1, 9] });
  const factored = (given: Partial<Parameters<typeof adafactorStep>[0]>) => () =>
    adafactorStep({
      parameters: [matrix],
      gradients: [gradient],
      row: [row],
      column: [column],
      second: [],
      first: [],
      steps: [count],
      scalars: nine,
      rows: [0],
      scaleParameter: true,
      relativeStep: "none",
      ...given,
    });
  const refusals: [
    () => void,
    typeof ShapeError | typeof DTypeError | typeof UsageError,
    string,
  ][] = [
    [
      one({ gradients: [] }),
      ShapeError,
      "adamw: parameters and gradients must be lists of the same length (1 vs 0)",
    ],
    [
      one({ gradients: [wide] }),
      ShapeError,
      "adamw: parameters[0] [2] and gradients[0] [3] must have the same shape",
    ],
    [
      one({ second: [wide] }),
      ShapeError,
      "adamw: parameters[0] [2] and second[0] [3] must have the same shape",
    ],
    [
      one({ first: [double] }),
      DTypeError,
      "adamw: first[0] is float64 and parameters[0] is float32; they must be the same",
    ],
    [
      one({ steps: [] }),
      ShapeError,
      "adamw: parameters and steps must be lists of the same length (1 vs 0)",
    ],
    [one({ steps: [wide] }), ShapeError, "adamw: steps [3] must have one element"],
    [one({ steps: [double] }), DTypeError, "adamw: steps is float64, must be float32"],
    [one({ scalars: single }), DTypeError, "adamw: scalars is float32, must be float64"],
    [one({ rows: [1] }), UsageError, "adamw: rows must be a whole number from 0 to 0, got 1"],
    [
      one({ rows: [0, 0] }),
      ShapeError,
      "adamw: rows must name a row of scalars for each of parameters (2 vs 1)",
    ],
    [
      one({ norm: a }),
      UsageError,
      "adamw: parameters[0] and norm share memory; what the op changes must be its own",
    ],
    [one({ norm: wide }), ShapeError, "adamw: norm [3] must have one element"],
    [
      one({ first: [a] }),
      UsageError,
      "adamw: parameters[0] and first[0] share memory; what the op changes must be its own",
    ],
    [
      one({ parameters: [view] }),
      UsageError,
      "adamw: parameters[0] and gradients[0] share memory; what the op changes must be its own",
    ],
    [
      factored({ row: [] }),
      ShapeError,
      "adafactor: row must have a tensor for each of 1 parameters of at least two dimensions, got 0",
    ],
    [
      factored({ second: [a] }),
      ShapeError,
      "adafactor: second must have a tensor for each of 0 parameters of less than two dimensions, got 1",
    ],
    [
      factored({ row: [column], column: [row] }),
      ShapeError,
      "adafactor: row[0] [2] must be [1], for a parameter [1, 2]",
    ],
    [
      factored({ column: [double] }),
      DTypeError,
      "adafactor: column[0] is float64, its parameter float32; they must be the same",
    ],
    [
      factored({ first: [gradient] }),
      UsageError,
      "adafactor: first[0] and gradients[0] share memory; what the op changes must be its own",
    ],
    [
      factored({ relativeStep: "always" as never }),
      UsageError,
      "adafactor: relative_step must be a whole number from 0 to 2, got -1",
    ],
    [
      () =>
        sgdStep({
          parameters: [a, c],
          gradients: [b, d],
          momentum: [wide],
          nesterov: false,
          scalars,
          rows: [0, 0],
        }),
      ShapeError,
      "sgd: parameters and momentum must be lists of the same length (2 vs 1)",
    ],
    [
      () =>
        sgdStep({
          parameters: [a, a],
          gradients: [b, b],
          momentum: [],
          nesterov: false,
          scalars,
          rows: [0, 0],
        }),
      UsageError,
      "sgd: parameters[0] and parameters[1] share memory; what the op changes must be its own",
    ],
    [
      () =>
        sgdStep({
          parameters: [a],
          gradients: [b],
          momentum: [],
          nesterov: false,
          scalars,
          rows: [0],
        }),
      ShapeError,
      "sgd: scalars [1, 7] must have 5 columns",
    ],
  ];
  for (const [call, instanceOf, message] of refusals) t.throws(call, { instanceOf, message });
  dispose([a, b, c, d, wide, double, view, scalars, single, count]);
  dispose([matrix, gradient, row, column, nine]);
});

test.serial("a state that does not fit is refused, and nothing changes", async (t) => {
  const parameters = parametersOf("float32");
  const optimizer = new AdamW(parameters);
  await run(optimizer, parameters, "float32", [1, 2]);
  const good = optimizer.state();
  const wide = tensor([1, 2, 3]);
  const double = tensor(new Float64Array(15), { shape: [3, 5] });
  const refused = (change: (state: Map<string, Tensor>) => void, message: string): void => {
    const state = new Map(good);
    change(state);
    t.throws(() => optimizer.loadState(state), {
      instanceOf: CheckpointError,
      message: `AdamW: ${message}`,
    });
  };
  refused(
    (state) => state.set("other.first", wide),
    'the state has an unexpected tensor "other.first"',
  );
  refused((state) => state.set("0.third", wide), 'the state has an unexpected tensor "0.third"');
  refused((state) => state.delete("0.first"), 'the state has no tensor "0.first"');
  refused(
    (state) => state.set("0.first", wide),
    '"0.first" is float32 [3], must be float32 [3, 5]',
  );
  refused(
    (state) => state.set("0.first", double),
    '"0.first" is float64 [3, 5], must be float32 [3, 5]',
  );
  refused((state) => state.set("0.step", wide), '"0.step" is float32 [3], must be float32 []');
  t.deepEqual(optimizer.state(), good);

  using factored = new Adafactor(parameters, { learningRate: 0.1 });
  await run(factored, parameters, "float32", [1, 2]);
  t.deepEqual(
    [...factored.state()].slice(0, 5).map(([key, { shape }]) => [key, shape]),
    [
      ["0.row", [3]],
      ["0.column", [5]],
      ["0.step", []],
      ["1.second", [7]],
      ["1.step", []],
    ],
  );
  t.deepEqual(factored.state().get("3.row")!.shape, [4, 3]);
  t.deepEqual(factored.state().get("3.column")!.shape, [4, 2]);
  const rows = new Map(factored.state()).set("0.row", factored.state().get("0.column")!);
  t.throws(() => factored.loadState(rows), {
    instanceOf: CheckpointError,
    message: 'Adafactor: "0.row" is float32 [5], must be float32 [3]',
  });
  t.throws(() => optimizer.loadState(factored.state()), { instanceOf: CheckpointError });

  optimizer.loadState(new Map());
  t.is(optimizer.state().size, 0);
  dispose([optimizer, wide, double, ...parameters]);
});

test.serial("numbers out of range are refused", (t) => {
  const parameter = new Parameter(tensor([1]));
  const refused = (make: () => unknown, message: string): void => {
    t.throws(make, { instanceOf: UsageError, message });
  };
  refused(
    () => new AdamW([parameter], { betas: [0.9, 1] }),
    "AdamW: betas[1] must be in [0, 1), got 1",
  );
  refused(
    () => new AdamW([parameter], { learningRate: -1 }),
    "AdamW: learningRate must be a finite number from 0 on, got -1",
  );
  refused(
    () => new Lion([parameter], { betas: [1, 0.9] }),
    "Lion: betas[0] must be in [0, 1), got 1",
  );
  refused(
    () => new Adafactor([parameter], {}),
    "Adafactor: give either learningRate or relativeStep",
  );
  refused(
    () => new Adafactor([parameter], { learningRate: 1, relativeStep: true }),
    "Adafactor: give either learningRate or relativeStep",
  );
  refused(
    () => new Adafactor([parameter], { learningRate: 1, warmupInit: true }),
    "Adafactor: warmupInit needs relativeStep",
  );
  refused(
    () => new Adafactor([parameter], { learningRate: 1, decayRate: 0.8 }),
    "Adafactor: decayRate must be in [-1, 0), got 0.8",
  );
  refused(
    () => new Adafactor([parameter], { relativeStep: true }).step(new Map(), { learningRate: 1 }),
    "Adafactor: relative steps have no learningRate",
  );
  refused(() => new AdamW([parameter, parameter]), 'AdamW: parameter "1" is given twice');
  refused(() => new SGD([parameter], { nesterov: true }), "SGD: nesterov needs a momentum above 0");
  refused(
    () => new SGD([parameter]).step(new Map(), { learningRate: Number.NaN }),
    "SGD: learningRate must be a finite number from 0 on, got NaN",
  );
  parameter.dispose();
});
