import {
  type LinearCrossEntropyOptions,
  linearCrossEntropy,
} from "../../src/ops/linear-cross-entropy.js";
import { type CaseOptions, cases, type HostTensors, hostTensor } from "./case.js";

interface Options extends CaseOptions {
  rows: readonly number[];
  width: number;
  classes: number;
  /** Standard deviation of the logits. Default: 2. */
  spread?: number;
  /** Several targets for each row. */
  targets?: number;
  targetWeighted?: boolean;
  /** Share of the targets that are ignored. */
  ignored?: number;
  weighted?: boolean;
  biased?: boolean;
  labelSmoothing?: number;
  softCap?: number;
  reduction?: NonNullable<LinearCrossEntropyOptions["reduction"]>;
}

const shapes: readonly Options[] = [
  { name: "one row", rows: [], width: 5, classes: 7 },
  { name: "one class", rows: [3], width: 4, classes: 1 },
  { name: "sixty-three", rows: [2, 5], width: 63, classes: 63, biased: true },
  { name: "one wide", rows: [7], width: 1, classes: 13 },
  { name: "more than a strip", rows: [199], width: 7, classes: 37, gradcheck: false },
  { name: "several chunks", rows: [1_700], width: 3, classes: 50, gradcheck: false },
  { name: "wide", rows: [13], width: 199, classes: 199, biased: true, gradcheck: false },
  { name: "several groups", rows: [5], width: 7, classes: 1_999, gradcheck: false },
  { name: "ignored rows", rows: [9], width: 3, classes: 7, ignored: 0.4 },
  { name: "every row ignored", rows: [4], width: 3, classes: 7, ignored: 1, biased: true },
  { name: "weights", rows: [3, 4], width: 5, classes: 7, ignored: 0.3, weighted: true },
  { name: "smoothing", rows: [6], width: 5, classes: 63, labelSmoothing: 0.1, biased: true },
  {
    name: "smoothing, weights, sum",
    rows: [5],
    width: 4,
    classes: 7,
    ignored: 0.3,
    weighted: true,
    labelSmoothing: 0.2,
    reduction: "sum",
  },
  { name: "soft cap", rows: [6], width: 5, classes: 31, softCap: 2, biased: true },
  {
    name: "soft cap and smoothing",
    rows: [6],
    width: 5,
    classes: 31,
    softCap: 3,
    labelSmoothing: 0.2,
    biased: true,
    weighted: true,
  },
  { name: "bags", rows: [2, 4], width: 5, classes: 11, targets: 3, ignored: 0.4, biased: true },
  {
    name: "weighted bags",
    rows: [9],
    width: 5,
    classes: 7,
    targets: 4,
    targetWeighted: true,
    ignored: 0.5,
    weighted: true,
    labelSmoothing: 0.1,
  },
  {
    name: "bags under a soft cap",
    rows: [5],
    width: 4,
    classes: 9,
    targets: 2,
    softCap: 1.5,
    reduction: "sum",
  },
  {
    name: "per row",
    rows: [2, 3],
    width: 4,
    classes: 7,
    ignored: 0.3,
    weighted: true,
    reduction: "none",
  },
  { name: "large logits", rows: [5], width: 6, classes: 499, spread: 5_000, gradcheck: false },
  {
    name: "large logits under a soft cap",
    rows: [5],
    width: 6,
    classes: 499,
    spread: 5_000,
    softCap: 4_000,
    labelSmoothing: 0.1,
    gradcheck: false,
  },
  { name: "no rows", rows: [0], width: 4, classes: 5, biased: true },
  { name: "no rows, per row", rows: [0, 2], width: 4, classes: 5, reduction: "none" },
  { name: "no width", rows: [3], width: 0, classes: 5, biased: true },
  { name: "no targets", rows: [3], width: 2, classes: 5, targets: 0 },
  { name: "catalogue, few rows", rows: [3], width: 1, classes: 26_744, gradcheck: false },
  { name: "catalogue", rows: [6400], width: 128, classes: 26_744, spread: 1, bench: true },
  { name: "language model", rows: [512], width: 576, classes: 49_152, spread: 1, bench: true },
];

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const hasGradient = ({ reduction }: Options): boolean => reduction !== "none";

const list = (op: string, which: readonly Options[], differentiable: readonly string[]) =>
  cases(op, which, {
    covers: ["linear_cross_entropy", "scale_gradients"],
    inputs: (random, { rows, width, classes, targets, ignored = 0, spread = 2 }): HostTensors => {
      const shape = targets === undefined ? rows : [...rows, targets];
      const chosen = random.integers(shape, classes);
      const hidden = random.uniform(shape, 0, 1).data;
      return {
        x: random.normal([...rows, width]),
        weight: random.normal([classes, width], spread * (width || 1) ** -0.5),
        bias: random.normal([classes]),
        targets: {
          ...chosen,
          data: chosen.data.map((target, i) => (hidden[i]! < ignored ? -100 : target)),
        },
        weights: random.uniform(rows, 0.5, 2),
        targetWeights: random.uniform(shape, 0.1, 1),
      };
    },
    differentiable,
    run: (
      { x, weight, bias, targets, weights, targetWeights },
      { biased, weighted, targetWeighted, labelSmoothing, softCap, reduction },
    ) =>
      linearCrossEntropy(x!, weight!, targets!, {
        bias: biased ? bias : undefined,
        weights: weighted ? weights : undefined,
        targetWeights: targetWeighted ? targetWeights : undefined,
        softCap,
        ...(labelSmoothing !== undefined && { labelSmoothing }),
        ...(reduction && { reduction }),
      }),
    reference(given, options) {
      const { rows, width, classes, labelSmoothing = 0, softCap, reduction = "mean" } = options;
      const [x, weight, bias, targets] = ["x", "weight", "bias", "targets"].map(
        (name) => given[name]!.data,
      ) as [Float64Array, Float64Array, Float64Array, Float64Array];
      const perRow = options.targets ?? 1;
      let total = 0;
      const losses = hostTensor(rows, (r) => {
        const places = Array.from({ length: perRow }, (_, e) => r * perRow + e);
        const counting = places.filter((at) => targets[at] !== -100);
        if (counting.length === 0) return 0;
        const rowWeight = options.weighted ? given["weights"]!.data[r]! : 1;
        total += rowWeight;
        const logits = Float64Array.from({ length: classes }, (_, c) => {
          let sum = options.biased ? bias[c]! : 0;
          for (let k = 0; k < width; k++) sum += x[r * width + k]! * weight[c * width + k]!;
          return softCap === undefined ? sum : softCap * Math.tanh(sum / softCap);
        });
        const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
        const logSum = top + Math.log(logits.reduce((sum, z) => sum + Math.exp(z - top), 0));
        const mean = logits.reduce((a, b) => a + b, 0) / classes;
        const loss = counting.reduce((sum, at) => {
          const share = options.targetWeighted
            ? given["targetWeights"]!.data[at]!
            : 1 / counting.length;
          const score = (1 - labelSmoothing) * logits[targets[at]!]! + labelSmoothing * mean;
          return sum + share * (logSum - score);
        }, 0);
        return rowWeight * loss;
      });
      if (reduction === "none") return losses;
      const sum = losses.data.reduce((a, b) => a + b, 0);
      return hostTensor([], () => (reduction === "sum" ? sum : total === 0 ? 0 : sum / total));
    },
    terms: ({ classes, width }) => classes + width,
    gradientScale: ({ spread = 2, rows }) => spread / sizeOf(rows),
    work: ({ rows, width, classes }) => ({
      flops: 2 * sizeOf(rows) * width * classes,
      bytes: 4 * (sizeOf(rows) * width + classes * width),
    }),
    torch: () => "torch.nn.functional.cross_entropy(x @ weight.T, targets.long())",
  });

const recorded = shapes.filter(hasGradient);

export default [
  list(
    "linear_cross_entropy",
    recorded.filter(({ biased }) => !biased),
    ["x", "weight"],
  ),
  list(
    "linear_cross_entropy_bias",
    recorded.filter(({ biased }) => biased),
    ["x", "weight", "bias"],
  ),
  list(
    "linear_cross_entropy_rows",
    shapes.filter((options) => !hasGradient(options)),
    [],
  ),
];
