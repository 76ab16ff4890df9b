import { type CrossEntropyOptions, crossEntropy } from "../../src/ops/cross-entropy.js";
import { type CaseOptions, cases, hostTensor } from "./case.js";

interface Options extends CaseOptions {
  rows: readonly number[];
  classes: number;
  /** Share of the targets that are ignored. */
  ignored?: number;
  weighted?: boolean;
  ignoreIndex?: number;
  labelSmoothing?: number;
  reduction?: NonNullable<CrossEntropyOptions["reduction"]>;
}

const shapes: readonly Options[] = [
  { name: "one row", rows: [], classes: 7 },
  { name: "one class", rows: [3], classes: 1 },
  { name: "sixty-three classes", rows: [2, 5], classes: 63 },
  { name: "ignored rows", rows: [9], classes: 7, ignored: 0.4 },
  { name: "ignored class", rows: [12], classes: 5, ignoreIndex: 2 },
  { name: "every row ignored", rows: [4], classes: 7, ignored: 1 },
  { name: "weights", rows: [3, 4], classes: 7, ignored: 0.3, weighted: true },
  { name: "smoothing", rows: [5], classes: 199, labelSmoothing: 0.1 },
  {
    name: "smoothing, weights, sum",
    rows: [5],
    classes: 7,
    ignored: 0.3,
    weighted: true,
    labelSmoothing: 0.2,
    reduction: "sum",
  },
  { name: "per row", rows: [2, 3], classes: 7, ignored: 0.3, weighted: true, reduction: "none" },
  { name: "several pieces", rows: [3], classes: 4_999, gradcheck: false },
  { name: "no rows", rows: [0], classes: 5 },
  { name: "no rows, per row", rows: [0, 2], classes: 5, reduction: "none" },
  { name: "catalogue", rows: [512], classes: 26_744, bench: true },
];

export default cases("cross_entropy", shapes, {
  covers: ["cross_entropy", "cross_entropy_backward"],
  inputs: (random, { rows, classes, ignored = 0, ignoreIndex = -100 }) => {
    const targets = random.integers(rows, classes);
    const hidden = random.uniform(rows, 0, 1).data.map((u) => (u < ignored ? 1 : 0));
    return {
      logits: random.normal([...rows, classes], 3),
      targets: {
        ...targets,
        data: targets.data.map((target, i) => (hidden[i] ? ignoreIndex : target)),
      },
      weights: random.uniform(rows, 0.5, 2),
    };
  },
  differentiable: ["logits"],
  run: ({ logits, targets, weights }, { weighted, ignoreIndex, labelSmoothing, reduction }) =>
    crossEntropy(logits, targets, {
      weights: weighted ? weights : undefined,
      ...(ignoreIndex !== undefined && { ignoreIndex }),
      ...(labelSmoothing !== undefined && { labelSmoothing }),
      ...(reduction && { reduction }),
    }),
  reference(
    { logits, targets, weights },
    { rows, classes, weighted, ignoreIndex = -100, labelSmoothing = 0, reduction = "mean" },
  ) {
    let total = 0;
    const losses = hostTensor(rows, (r) => {
      const target = targets.data[r]!;
      if (target === ignoreIndex) return 0;
      const weight = weighted ? weights.data[r]! : 1;
      total += weight;
      const row = logits.data.subarray(r * classes, (r + 1) * classes);
      const top = row.reduce((a, b) => Math.max(a, b), -Infinity);
      const logSumExp = top + Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0));
      const mean = row.reduce((a, b) => a + b, 0) / classes;
      return weight * (logSumExp - (1 - labelSmoothing) * row[target]! - labelSmoothing * mean);
    });
    if (reduction === "none") return losses;
    const sum = losses.data.reduce((a, b) => a + b, 0);
    return hostTensor([], () => (reduction === "sum" ? sum : total === 0 ? 0 : sum / total));
  },
  terms: ({ classes }) => classes,
  work: ({ rows, classes }) => {
    const count = rows.reduce((a, b) => a * b, 1);
    return { flops: 4 * count * classes, bytes: 4 * count * classes };
  },
  torch: () => "torch.nn.functional.cross_entropy(logits, targets.long())",
});
