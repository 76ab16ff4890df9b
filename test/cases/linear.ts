import { linear } from "../../src/ops/linear.js";
import { fromBFloat16, toBFloat16 } from "../../src/tensor/dtype.js";
import { type CaseOptions, cases, type HostTensor, hostTensor, type Random } from "./case.js";

interface Options extends CaseOptions {
  lead: readonly number[];
  inWidth: number;
  outWidth: number;
}

const shapes: readonly Options[] = [
  { name: "one row", lead: [1], inWidth: 1, outWidth: 1 },
  { name: "a vector", lead: [], inWidth: 7, outWidth: 5 },
  { name: "seven", lead: [7], inWidth: 7, outWidth: 7 },
  { name: "sixty-three wide", lead: [2, 3], inWidth: 5, outWidth: 63 },
  { name: "one hundred ninety-nine rows", lead: [199], inWidth: 3, outWidth: 2 },
  { name: "no rows", lead: [0, 3], inWidth: 3, outWidth: 4 },
  { name: "no input width", lead: [2], inWidth: 0, outWidth: 3 },
];
const benched: readonly Options[] = [
  { name: "6400x128 to 128", lead: [6400], inWidth: 128, outWidth: 128, bench: true },
  { name: "6400x128 to 384", lead: [6400], inWidth: 128, outWidth: 384, bench: true },
  { name: "2048x576 to 576", lead: [2048], inWidth: 576, outWidth: 576, bench: true },
  { name: "1024x768 to 768", lead: [1024], inWidth: 768, outWidth: 768, bench: true },
  { name: "6400x512 to 2048", lead: [6400], inWidth: 512, outWidth: 2048, bench: true },
  { name: "catalogue", lead: [6400], inWidth: 128, outWidth: 26_744, bench: true },
];

const benchedInBfloat16: readonly Options[] = [
  { name: "2048x576 to 576", lead: [2048], inWidth: 576, outWidth: 576, bench: true },
  { name: "6400x128 to 384", lead: [6400], inWidth: 128, outWidth: 384, bench: true },
  { name: "2048x576 to 1536", lead: [2048], inWidth: 576, outWidth: 1536, bench: true },
];

const inputs = (random: Random, { lead, inWidth, outWidth }: Options) => ({
  x: random.normal([...lead, inWidth]),
  weight: random.normal([outWidth, inWidth], inWidth ** -0.5 || 1),
});

function affine(
  x: HostTensor,
  weight: HostTensor,
  bias: HostTensor | undefined,
  { lead, inWidth, outWidth }: Options,
): HostTensor {
  return hostTensor([...lead, outWidth], (index) => {
    const row = Math.floor(index / outWidth);
    const column = index % outWidth;
    let sum = bias?.data[column] ?? 0;
    for (let k = 0; k < inWidth; k++)
      sum += x.data[row * inWidth + k]! * weight.data[column * inWidth + k]!;
    return sum;
  });
}

const gelu = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

const spec = {
  terms: ({ inWidth }: Options) => inWidth,
  work: ({ lead, inWidth, outWidth }: Options) => {
    const rows = lead.reduce((a, b) => a * b, 1);
    return {
      flops: 2 * rows * inWidth * outWidth,
      bytes: 4 * (rows * (inWidth + outWidth) + inWidth * outWidth),
    };
  },
};

/** The same numbers, exact in bfloat16. */
const rounded = (random: Random, { shape, data }: HostTensor, dtype: HostTensor["dtype"]) =>
  random.values(shape, fromBFloat16(toBFloat16(data)), dtype);

const bfloat16Work = (options: Options) => ({
  ...spec.work(options),
  bytes: spec.work(options).bytes / 2,
  arithmetic: "bfloat16" as const,
});

export default [
  cases("linear", [...shapes, ...benched], {
    ...spec,
    covers: ["linear", "linear_input_grad"],
    inputs,
    run: ({ x, weight }) => linear(x, weight),
    reference: ({ x, weight }, options) => affine(x, weight, undefined, options),
    torch: () => "torch.nn.functional.linear(x, weight)",
  }),
  cases("linear_bfloat16", [...shapes, ...benchedInBfloat16], {
    ...spec,
    covers: ["linear"],
    inputs: (random, options) => {
      const { x, weight } = inputs(random, options);
      return { x: rounded(random, x, "bfloat16"), weight: rounded(random, weight, "bfloat16") };
    },
    run: ({ x, weight }) => linear(x, weight),
    reference: ({ x, weight }, options) => affine(x, weight, undefined, options),
    work: bfloat16Work,
    torch: () => "torch.nn.functional.linear(x, weight)",
  }),
  cases("linear_in_bfloat16", [...shapes, ...benchedInBfloat16], {
    ...spec,
    covers: ["linear", "linear_input_grad"],
    inputs: (random, options) => {
      const { x, weight } = inputs(random, options);
      return { x: rounded(random, x, "float"), weight: rounded(random, weight, "float") };
    },
    run: ({ x, weight }) =>
      linear(x, weight, undefined, {
        precision: x.dtype === "float64" ? "float32" : "bfloat16",
      }),
    reference: ({ x, weight }, options) => affine(x, weight, undefined, options),
    rounding: "bfloat16",
    work: (options) => ({ ...spec.work(options), arithmetic: "bfloat16" as const }),
    torch: () => [
      {
        name: "autocast",
        expression: "torch.nn.functional.linear(x, weight)",
        precision: "autocast",
      },
      {
        name: "bfloat16",
        expression: "torch.nn.functional.linear(x, weight)",
        precision: "bfloat16",
      },
    ],
  }),
  cases("linear_bias_residual", shapes, {
    ...spec,
    covers: ["linear", "linear_input_grad", "linear_epilogue_backward"],
    inputs: (random, options) => ({
      ...inputs(random, options),
      bias: random.normal([options.outWidth]),
      residual: random.normal([...options.lead, options.outWidth]),
    }),
    run: ({ x, weight, bias, residual }) => linear(x, weight, bias, { residual }),
    reference: ({ x, weight, bias, residual }, options) => {
      const result = affine(x, weight, bias, options);
      return hostTensor(result.shape, (i) => result.data[i]! + residual.data[i]!);
    },
  }),
  cases("linear_gelu", [...shapes, ...benched.slice(1, 2)], {
    ...spec,
    covers: ["linear", "linear_input_grad", "linear_epilogue_backward"],
    inputs: (random, options) => ({
      ...inputs(random, options),
      bias: random.normal([options.outWidth]),
      residual: random.normal([...options.lead, options.outWidth]),
    }),
    run: ({ x, weight, bias, residual }) =>
      linear(x, weight, bias, { activation: "gelu", residual }),
    reference: ({ x, weight, bias, residual }, options) => {
      const result = affine(x, weight, bias, options);
      return hostTensor(result.shape, (i) => gelu(result.data[i]!) + residual.data[i]!);
    },
    torch: () =>
      'torch.nn.functional.gelu(torch.nn.functional.linear(x, weight, bias), approximate="tanh") + residual',
  }),
];
