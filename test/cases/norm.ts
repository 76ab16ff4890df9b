import { addLayerNorm, addRmsNorm, layerNorm, rmsNorm } from "../../src/ops/norm.js";
import { type CaseOptions, cases, type HostTensor, hostTensor, type Random } from "./case.js";

interface Options extends CaseOptions {
  rows: readonly number[];
  width: number;
  /** Added to every element: statistics must survive a mean far above the deviation. */
  mean?: number;
}

const shapes: readonly Options[] = [
  { name: "a vector", rows: [], width: 5 },
  { name: "one wide", rows: [3], width: 1 },
  { name: "seven", rows: [2, 3], width: 7 },
  { name: "sixty-three", rows: [5], width: 63 },
  { name: "one hundred ninety-nine", rows: [3], width: 199 },
  { name: "several blocks of rows", rows: [199], width: 199, gradcheck: false },
  { name: "no rows", rows: [0], width: 5 },
  { name: "no width", rows: [3], width: 0 },
];
/** Of one element, the gradient of RMS normalisation is what rounding leaves of 1 - 1. */
const shapesForRms = shapes.filter(({ width }) => width !== 1);
const benched: readonly Options[] = [
  { name: "6400x128", rows: [6400], width: 128, bench: true },
  { name: "6400x512", rows: [6400], width: 512, bench: true },
  { name: "51200x512", rows: [51_200], width: 512, bench: true },
];

const count = ({ rows, width }: Options) => rows.reduce((a, b) => a * b, width);

const inputs = (random: Random, { rows, width, mean = 0 }: Options) => {
  const x = random.normal([...rows, width]);
  return {
    x: { ...x, data: x.data.map((value) => Math.fround(value + mean)) },
    weight: random.normal([width]),
    bias: random.normal([width]),
  };
};
const inputsWithResidual = (random: Random, options: Options) => ({
  ...inputs(random, options),
  residual: random.normal([...options.rows, options.width]),
});

/** Each row mapped by `normalize`, then scaled and shifted by column. */
function byRow(
  x: HostTensor,
  width: number,
  normalize: (row: Float64Array) => Float64Array,
  weight: (column: number) => number,
  bias: (column: number) => number,
): HostTensor {
  const result = hostTensor(x.shape, () => 0);
  for (let at = 0; at < x.data.length; at += width)
    normalize(x.data.subarray(at, at + width)).forEach((value, i) => {
      result.data[at + i] = value * weight(i) + bias(i);
    });
  return result;
}

const meanOf = (row: Float64Array) => row.reduce((a, b) => a + b, 0) / row.length;

const layerNormByDefinition = (
  x: HostTensor,
  { weight, bias }: { weight?: HostTensor; bias?: HostTensor },
  { width }: Options,
): HostTensor =>
  byRow(
    x,
    width,
    (row) => {
      const mean = meanOf(row);
      const variance = meanOf(row.map((value) => (value - mean) ** 2));
      return row.map((value) => (value - mean) / Math.sqrt(variance + 1e-5));
    },
    (i) => weight?.data[i] ?? 1,
    (i) => bias?.data[i] ?? 0,
  );

const rmsNormByDefinition = (
  x: HostTensor,
  weight: (column: number) => number,
  { width }: Options,
): HostTensor =>
  byRow(
    x,
    width,
    (row) => {
      const scale = 1 / Math.sqrt(meanOf(row.map((value) => value ** 2)) + 1e-6);
      return row.map((value) => value * scale);
    },
    weight,
    () => 0,
  );

const added = (x: HostTensor, residual: HostTensor): HostTensor =>
  hostTensor(x.shape, (i) => x.data[i]! + residual.data[i]!);

const spec = {
  terms: ({ width }: Options) => width,
  // Of one element, the gradient of layer normalisation is 1/√ε times what is left of h - mean(h).
  gradientScale: ({ width }: Options) => (width === 1 ? 1 / Math.sqrt(1e-5) : 0),
  work: (options: Options) => ({ flops: 8 * count(options), bytes: 8 * count(options) }),
};
const workWithResidual = (options: Options) => ({
  flops: 9 * count(options),
  bytes: 16 * count(options),
});

export default [
  cases("layer_norm", [...shapes, ...benched], {
    ...spec,
    covers: ["layer_norm", "layer_norm_backward"],
    inputs,
    run: ({ x, weight, bias }) => layerNorm(x, weight, bias),
    reference: ({ x, weight, bias }, options) =>
      layerNormByDefinition(x, { weight, bias }, options),
    torch: ({ width }) => `torch.nn.functional.layer_norm(x, (${width},), weight, bias)`,
  }),
  cases(
    "layer_norm_plain",
    [...shapes, { name: "far from zero", rows: [3], width: 128, mean: 4096, gradcheck: false }],
    {
      ...spec,
      covers: ["layer_norm", "layer_norm_backward"],
      inputs: (random, options) => ({ x: inputs(random, options).x }),
      run: ({ x }) => layerNorm(x),
      reference: ({ x }, options) => layerNormByDefinition(x, {}, options),
    },
  ),
  cases("add_layer_norm", [...shapes, ...benched.slice(1, 2)], {
    ...spec,
    covers: ["add_layer_norm", "layer_norm_backward"],
    inputs: inputsWithResidual,
    run({ x, residual, weight, bias }) {
      const { sum, result } = addLayerNorm(x, residual, weight, bias);
      return [sum, result];
    },
    reference({ x, residual, weight, bias }, options) {
      const sum = added(x, residual);
      return [sum, layerNormByDefinition(sum, { weight, bias }, options)];
    },
    work: workWithResidual,
    torch: ({ width }) => `torch.nn.functional.layer_norm(x + residual, (${width},), weight, bias)`,
  }),
  cases("rms_norm", [...shapesForRms, ...benched], {
    ...spec,
    covers: ["rms_norm", "rms_norm_backward"],
    inputs: (random, options) => {
      const { x, weight } = inputs(random, options);
      return { x, weight };
    },
    run: ({ x, weight }) => rmsNorm(x, weight),
    reference: ({ x, weight }, options) => rmsNormByDefinition(x, (i) => weight.data[i]!, options),
    torch: ({ width }) => `torch.nn.functional.rms_norm(x, (${width},), weight, 1e-6)`,
  }),
  cases("rms_norm_plain", shapesForRms, {
    ...spec,
    covers: ["rms_norm", "rms_norm_backward"],
    inputs: (random, options) => ({ x: inputs(random, options).x }),
    run: ({ x }) => rmsNorm(x),
    reference: ({ x }, options) => rmsNormByDefinition(x, () => 1, options),
  }),
  cases("add_rms_norm", [...shapesForRms, ...benched.slice(1, 2)], {
    ...spec,
    covers: ["add_rms_norm", "rms_norm_backward"],
    inputs: (random, options) => {
      const { x, residual, weight } = inputsWithResidual(random, options);
      return { x, residual, weight };
    },
    run({ x, residual, weight }) {
      const { sum, result } = addRmsNorm(x, residual, weight, { weightOffset: 1 });
      return [sum, result];
    },
    reference({ x, residual, weight }, options) {
      const sum = added(x, residual);
      return [sum, rmsNormByDefinition(sum, (i) => 1 + weight.data[i]!, options)];
    },
    work: workWithResidual,
    torch: ({ width }) =>
      `torch.nn.functional.rms_norm(x + residual, (${width},), 1 + weight, 1e-6)`,
  }),
];
