import { type AdafactorTensors, adafactorStep, globalNorm, reshape } from "../../src/ops/index.js";
import { type Tensor, tensor } from "../../src/tensor/index.js";
import { type CaseOptions, cases, type HostTensor, type HostTensors, type Random } from "./case.js";
import { shadowsAfter, shadowsOf } from "./shadows.js";

interface Case extends CaseOptions {
  readonly shapes: readonly (readonly number[])[];
  /** Gradient scale 0.5, clipped to this norm; 0: not clipped. */
  readonly clip: number;
  /** 0: no running mean of updates. */
  readonly beta1: number;
  readonly relativeStep: AdafactorTensors["relativeStep"];
  readonly scaleParameter: boolean;
  readonly shadowOf: readonly number[];
}

const [rate, decayRate, eps1, eps2] = [0.1, -0.8, 1e-3, 0.5];
/** Each parameter has its own decay, number of steps and threshold: of two neighbours, one is above it. */
const decayOf = (i: number): number => (i % 2 === 0 ? 0.1 : 0);
const stepsOf = (i: number): number => 1 + i; // this step included
const thresholdOf = (i: number): number => (i % 2 === 0 ? 0.5 : 50);

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const isFactored = ({ length }: readonly number[]): boolean => length >= 2;
const rowShape = (shape: readonly number[]): number[] => shape.slice(0, -1);
const columnShape = (shape: readonly number[]): number[] => [
  ...shape.slice(0, -2),
  ...shape.slice(-1),
];

const plain = {
  clip: 0,
  beta1: 0,
  relativeStep: "none",
  scaleParameter: true,
  shadowOf: [],
} as const;
const list: readonly Case[] = [
  { ...plain, name: "one by one", shapes: [[1, 1]] },
  {
    ...plain,
    name: "ragged",
    shapes: [[7], [7, 63], [63, 1], [1, 199], [0, 5], [3, 0], [], [0], [199]],
  },
  {
    ...plain,
    name: "stacks",
    shapes: [
      [5, 7, 3],
      [2, 0, 3],
      [3, 1, 2, 6],
    ],
    clip: 1,
  },
  { ...plain, name: "unscaled", shapes: [[63, 7], [63]], scaleParameter: false },
  {
    ...plain,
    name: "running mean, shadows",
    shapes: [[7, 9], [63], [2, 3, 17]],
    clip: 2,
    beta1: 0.9,
    shadowOf: [0, 2],
  },
  { ...plain, name: "relative", shapes: [[7, 9], [63]], relativeStep: "relative" },
  {
    ...plain,
    name: "relative with warm-up",
    shapes: [[7, 9], [63]],
    relativeStep: "relative-with-warmup",
  },
  // Several blocks of rows, stacked; several chunks in a row.
  { ...plain, name: "several blocks", shapes: [[3], [2, 199, 99], [18, 1_500]], shadowOf: [1] },
  { ...plain, name: "several tasks", shapes: [[17_001], [2_051, 3]], shadowOf: [0] },
  {
    ...plain,
    name: "encoder layer",
    shapes: [
      [384, 128],
      [128, 128],
      [512, 128],
      [128, 512],
    ],
    bench: true,
  },
  { ...plain, name: "item table", shapes: [[26_744, 128]], bench: true },
];

function inputs(random: Random, { shapes, beta1 }: Case): HostTensors {
  const entries = shapes.flatMap((shape, i): [string, HostTensor][] => [
    [`parameter${i}`, random.normal(shape)],
    [`gradient${i}`, random.normal(shape)],
    ...(beta1 > 0 ? [[`first${i}`, random.normal(shape, 0.1)] as [string, HostTensor]] : []),
    ...(isFactored(shape)
      ? ([
          [`row${i}`, random.uniform(rowShape(shape), 0.1, 1)],
          [`column${i}`, random.uniform(columnShape(shape), 0.1, 1)],
        ] as [string, HostTensor][])
      : [[`second${i}`, random.uniform(shape, 0.1, 1)] as [string, HostTensor]]),
  ]);
  return Object.fromEntries(entries);
}

const copyOf = ({ shape, data, dtype }: HostTensor): HostTensor => ({
  shape,
  data: data.slice(),
  dtype,
});
const rootMeanSquare = (data: Float64Array): number =>
  Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length);

/** A running mean of `element`, updated in place. */
function blend(mean: Float64Array, keep: number, element: (k: number) => number): void {
  for (let k = 0; k < mean.length; k++) mean[k] = mean[k]! * keep + element(k) * (1 - keep);
}

/** One parameter's step, by the definition: the second moment is made element by element. */
function referenceStep(given: HostTensors, i: number, factor: number, options: Case): HostTensors {
  const { beta1, relativeStep, scaleParameter } = options;
  const of = (name: string): HostTensor | undefined => {
    const found = given[`${name}${i}`];
    return found && copyOf(found);
  };
  const parameter = of("parameter")!;
  const [row, column, second, first] = [of("row"), of("column"), of("second"), of("first")];
  const g = given[`gradient${i}`]!.data.map((x) => x * factor);
  const t = stepsOf(i);
  const keep = 1 - t ** decayRate;
  let estimate: (k: number) => number;
  if (row && column) {
    const [rows, columns] = parameter.shape.slice(-2) as [number, number];
    const square = (matrix: number, r: number, c: number): number =>
      g[(matrix * rows + r) * columns + c]! ** 2 + eps1;
    const mean = (count: number, element: (k: number) => number): number => {
      let sum = 0;
      for (let k = 0; k < count; k++) sum += element(k);
      return sum / count;
    };
    if (g.length > 0) {
      blend(row.data, keep, (k) => mean(columns, (c) => square(Math.floor(k / rows), k % rows, c)));
      blend(column.data, keep, (k) =>
        mean(rows, (r) => square(Math.floor(k / columns), r, k % columns)),
      );
    }
    const wholes = Array.from({ length: g.length / (rows * columns) || 0 }, (_, matrix) =>
      mean(rows, (r) => row.data[matrix * rows + r]!),
    );
    estimate = (k) => {
      const matrix = Math.floor(k / (rows * columns));
      const r = row.data[Math.floor(k / columns)]!;
      return (r * column.data[matrix * columns + (k % columns)]!) / wholes[matrix]!;
    };
  } else {
    blend(second!.data, keep, (k) => g[k]! ** 2 + eps1);
    estimate = (k) => second!.data[k]!;
  }
  const update = g.map((x, k) => x / Math.sqrt(estimate(k)));
  let alpha = rate;
  if (relativeStep === "relative") alpha *= Math.min(1e-2, 1 / Math.sqrt(t));
  if (relativeStep === "relative-with-warmup") alpha *= Math.min(1e-6 * t, 1 / Math.sqrt(t));
  if (scaleParameter) alpha *= Math.max(eps2, rootMeanSquare(parameter.data));
  const excess = Math.max(1, rootMeanSquare(update) / thresholdOf(i));
  for (let k = 0; k < g.length; k++) {
    let change = (alpha * update[k]!) / excess;
    if (first) change = first.data[k] = beta1 * first.data[k]! + (1 - beta1) * change;
    parameter.data[k] = parameter.data[k]! * (1 - alpha * decayOf(i)) - change;
  }
  return {
    parameter,
    ...(row && column ? { row, column } : { second: second! }),
    ...(first ? { first } : {}),
  };
}

const kinds = ["parameter", "row", "column", "second", "first"] as const;

export default cases<Case, HostTensors>("adafactor", list, {
  covers: ["adafactor"],
  inputs,
  run(given, { shapes, clip, relativeStep, scaleParameter, beta1, shadowOf }) {
    const all = (name: string): Tensor[] => shapes.flatMap((_, i) => given[`${name}${i}`] ?? []);
    const [parameters, row, column, second, first] = kinds.map(all) as [
      Tensor[],
      Tensor[],
      Tensor[],
      Tensor[],
      Tensor[],
    ];
    const rows = shapes.flatMap((_, i) => {
      return [0.5, clip, rate, decayOf(i), beta1, decayRate, eps1, eps2, thresholdOf(i)];
    });
    const shadows = shadowsOf(parameters, shadowOf);
    adafactorStep({
      parameters,
      gradients: all("gradient"),
      row,
      column,
      second,
      first,
      steps: shapes.map((_, i) => tensor(stepsOf(i) - 1)),
      scalars: tensor(Float64Array.from(rows), { shape: [shapes.length, 9] }),
      rows: shapes.map((_, i) => i),
      norm: clip > 0 ? globalNorm(all("gradient")) : undefined,
      scaleParameter,
      relativeStep,
      ...shadows,
    });
    const changed = [parameters, row, column, second, first].flat();
    return [
      ...changed.map((x) => reshape(x, x.shape)),
      ...shadowsAfter(parameters, shadowOf, shadows),
    ];
  },
  reference(given, options) {
    const { shapes, clip, shadowOf } = options;
    let squares = 0;
    for (const [i] of shapes.entries())
      for (const g of given[`gradient${i}`]!.data) squares += (0.5 * g) ** 2;
    const factor = clip > 0 ? 0.5 * Math.min(1, clip / (Math.sqrt(squares) + 1e-6)) : 0.5;
    const results = shapes.map((_, i) => referenceStep(given, i, factor, options));
    return [
      ...kinds.flatMap((kind) => results.flatMap((result) => result[kind] ?? [])),
      ...shadowOf.map((i) => results[i]!.parameter!),
    ];
  },
  differentiable: [],
  terms: ({ shapes }) => Math.max(...shapes.map((shape) => Math.min(1024, sizeOf(shape)))),
  work({ shapes }) {
    const elements = shapes.reduce((sum, shape) => sum + sizeOf(shape), 0);
    return { flops: 14 * elements, bytes: 24 * elements };
  },
  torch({ shapes }) {
    const all = (name: string): string =>
      `[${shapes.map((_, i) => name.replaceAll("#", String(i))).join(", ")}]`;
    return (
      `torch.optim._adafactor._single_tensor_adafactor(${all("parameter#")}, ${all("gradient#")}, ` +
      `${all("row#.unsqueeze(-1)")}, ${all("column#.unsqueeze(-2)")}, ${all("None")}, ` +
      `${all("torch.tensor(3.0)")}, None, None, d=1.0, lr=${rate}, beta2_decay=${decayRate}, weight_decay=0.1, ` +
      `eps1=None, eps2=${eps2}, maximize=False, has_complex=False)`
    );
  },
});
