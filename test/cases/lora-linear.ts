import { loraLinear } from "../../src/ops/lora-linear.js";
import { type CaseOptions, cases, type HostTensor, hostTensor, type Random } from "./case.js";

interface Options extends CaseOptions {
  lead: readonly number[];
  inWidth: number;
  outWidth: number;
  rank: number;
}

const shapes: readonly Options[] = [
  { name: "one", lead: [1], inWidth: 1, outWidth: 1, rank: 1 },
  { name: "a vector", lead: [], inWidth: 7, outWidth: 5, rank: 2 },
  { name: "seven", lead: [7], inWidth: 7, outWidth: 7, rank: 3 },
  { name: "sixty-three wide", lead: [2, 3], inWidth: 5, outWidth: 63, rank: 8 },
  { name: "sixty-three in", lead: [5], inWidth: 63, outWidth: 3, rank: 7 },
  { name: "one hundred ninety-nine rows", lead: [199], inWidth: 3, outWidth: 2, rank: 4 },
  { name: "several groups of rows", lead: [3, 199], inWidth: 33, outWidth: 49, rank: 13 },
  { name: "a rank above the widths", lead: [4], inWidth: 3, outWidth: 2, rank: 17 },
  { name: "several tasks", lead: [500], inWidth: 160, outWidth: 144, rank: 20 },
  { name: "pieces of the input", lead: [5], inWidth: 1200, outWidth: 5, rank: 8 },
  { name: "no rows", lead: [0, 3], inWidth: 3, outWidth: 4, rank: 2 },
  { name: "no input width", lead: [2], inWidth: 0, outWidth: 3, rank: 2 },
  { name: "no output width", lead: [2], inWidth: 3, outWidth: 0, rank: 2 },
  { name: "no rank", lead: [2], inWidth: 3, outWidth: 4, rank: 0 },
];

const inputs = (random: Random, { lead, inWidth, outWidth, rank }: Options) => ({
  x: random.normal([...lead, inWidth]),
  weight: random.normal([outWidth, inWidth], inWidth ** -0.5 || 1),
  a: random.normal([rank, inWidth], inWidth ** -0.5 || 1),
  b: random.normal([outWidth, rank]),
});

/** x · matrixᵀ, of rows of x. */
function product(x: HostTensor, matrix: HostTensor): number[] {
  const [outWidth, inWidth] = matrix.shape as [number, number];
  const rows = x.shape.slice(0, -1).reduce((a, b) => a * b, 1);
  return Array.from({ length: rows * outWidth }, (_, index) => {
    const row = Math.floor(index / outWidth);
    const column = index % outWidth;
    let sum = 0;
    for (let k = 0; k < inWidth; k++)
      sum += x.data[row * inWidth + k]! * matrix.data[column * inWidth + k]!;
    return sum;
  });
}

interface HostAdapter {
  a: HostTensor;
  b: HostTensor;
  scale: number;
  offset: number;
}

/** The adapters' matrix by matrix, added up. */
function adapted(
  x: HostTensor,
  weight: HostTensor,
  adapters: readonly HostAdapter[],
  input = x,
): HostTensor {
  const outWidth = weight.shape[0]!;
  const sums = product(x, weight);
  for (const { a, b, scale, offset } of adapters) {
    const lead = x.shape.slice(0, -1);
    const down = {
      ...a,
      shape: [...lead, a.shape[0]!],
      data: Float64Array.from(product(input, a)),
    };
    const width = b.shape[0]!;
    product(down, b).forEach((value, i) => {
      sums[Math.floor(i / width) * outWidth + offset + (i % width)]! += scale * value;
    });
  }
  return hostTensor([...x.shape.slice(0, -1), outWidth], (i) => sums[i]!);
}

const spec = {
  covers: ["lora_linear", "lora_linear_backward"],
  terms: ({ inWidth, rank }: Options) => inWidth + rank,
  work({ lead, inWidth, outWidth, rank }: Options) {
    const rows = lead.reduce((a, b) => a * b, 1);
    return {
      flops: 2 * rows * (inWidth * outWidth + rank * (inWidth + outWidth)),
      bytes: 4 * (rows * (inWidth + outWidth) + inWidth * outWidth),
    };
  },
};

/** Widths of queries, keys and values side by side, and some columns that have no adapter. */
const packedWidths = ({ outWidth }: Options): [number, number] => [
  Math.floor(outWidth / 2),
  Math.floor(outWidth / 4),
];

export default [
  // As in training: the base weight is frozen.
  cases(
    "lora_linear",
    [
      ...shapes,
      { name: "2048x576 to 576", lead: [2048], inWidth: 576, outWidth: 576, rank: 8, bench: true },
      {
        name: "2048x576 to 1536",
        lead: [2048],
        inWidth: 576,
        outWidth: 1536,
        rank: 8,
        bench: true,
      },
      {
        name: "2048x1536 to 576, rank 64",
        lead: [2048],
        inWidth: 1536,
        outWidth: 576,
        rank: 64,
        bench: true,
      },
    ],
    {
      ...spec,
      inputs,
      run: ({ x, weight, a, b }) => loraLinear(x, weight, undefined, [{ a, b, scale: 2 }]),
      reference: ({ x, weight, a, b }) => adapted(x, weight, [{ a, b, scale: 2, offset: 0 }]),
      differentiable: ["x", "a", "b"],
      torch: () =>
        "torch.nn.functional.linear(x, weight) + 2 * torch.nn.functional.linear(torch.nn.functional.linear(x, a), b)",
    },
  ),
  cases("lora_linear_everything", shapes, {
    ...spec,
    covers: [...spec.covers, "linear_epilogue_backward"],
    inputs: (random, options) => ({
      ...inputs(random, options),
      bias: random.normal([options.outWidth]),
      residual: random.normal([...options.lead, options.outWidth]),
      adapterInput: random.normal([...options.lead, options.inWidth]),
    }),
    run: ({ x, weight, a, b, bias, residual, adapterInput }) =>
      loraLinear(x, weight, bias, [{ a, b, scale: -0.5 }], { residual, adapterInput }),
    reference({ x, weight, a, b, bias, residual, adapterInput }, { outWidth }) {
      const result = adapted(x, weight, [{ a, b, scale: -0.5, offset: 0 }], adapterInput);
      return hostTensor(
        result.shape,
        (i) => result.data[i]! + bias.data[i % outWidth]! + residual.data[i]!,
      );
    },
  }),
  cases(
    "lora_linear_packed",
    [
      ...shapes,
      { name: "2048x576 to 960", lead: [2048], inWidth: 576, outWidth: 960, rank: 8, bench: true },
    ],
    {
      ...spec,
      inputs: (random, options) => {
        const { inWidth, rank } = options;
        const [queries, keys] = packedWidths(options);
        return {
          ...inputs(random, options),
          b: random.normal([queries, rank]),
          a1: random.normal([2, inWidth], inWidth ** -0.5 || 1),
          b1: random.normal([keys, 2]),
          a2: random.normal([1, inWidth], inWidth ** -0.5 || 1),
          b2: random.normal([options.outWidth, 1]),
        };
      },
      // Queries, keys after them, and one adapter that overlaps both.
      run: ({ x, weight, a, b, a1, b1, a2, b2 }, options) =>
        loraLinear(x, weight, undefined, [
          { a, b, scale: 2 },
          { a: a1, b: b1, scale: 1, offset: packedWidths(options)[0] },
          { a: a2, b: b2, scale: 0.5 },
        ]),
      reference: ({ x, weight, a, b, a1, b1, a2, b2 }, options) =>
        adapted(x, weight, [
          { a, b, scale: 2, offset: 0 },
          { a: a1, b: b1, scale: 1, offset: packedWidths(options)[0] },
          { a: a2, b: b2, scale: 0.5, offset: 0 },
        ]),
      differentiable: ["x", "a", "b", "a1", "b1", "a2", "b2"],
      torch: () =>
        "torch.nn.functional.linear(x, weight) + torch.cat([2 * (x @ a.T @ b.T), x @ a1.T @ b1.T, x.new_zeros(x.shape[0], weight.shape[0] - b.shape[0] - b1.shape[0])], -1) + 0.5 * (x @ a2.T @ b2.T)",
    },
  ),
];
