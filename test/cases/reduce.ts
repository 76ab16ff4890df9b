import { max, mean, min, sum } from "../../src/ops/reduce.js";
import { type CaseList, type CaseOptions, cases, hostTensor } from "./case.js";

interface Reduction extends CaseOptions {
  shape: readonly number[];
  axes?: number | readonly number[];
  keepDims?: boolean;
}

const shapes: readonly Reduction[] = [
  { name: "everything", shape: [7, 63] },
  { name: "a scalar", shape: [] },
  { name: "no dimension", shape: [3, 2], axes: [] },
  { name: "rows of one", shape: [5, 1], axes: 1 },
  { name: "short rows", shape: [63, 7], axes: -1 },
  { name: "rows", shape: [3, 199], axes: 1, keepDims: true },
  { name: "columns", shape: [199, 7], axes: 0 },
  { name: "wide columns", shape: [3, 2100], axes: 0, gradcheck: false },
  { name: "tall columns", shape: [1100, 17], axes: 0, gradcheck: false },
  { name: "between", shape: [3, 7, 5], axes: 1 },
  { name: "around", shape: [5, 6, 7], axes: [0, -1], keepDims: true },
  { name: "every other", shape: [2, 3, 4, 5, 6], axes: [1, 3] },
  { name: "every other, from the first", shape: [2, 3, 4, 5, 2], axes: [0, 2, 4] },
  { name: "long", shape: [50_000], gradcheck: false },
  { name: "long rows", shape: [1, 33_000], axes: 1, gradcheck: false },
  { name: "no rows", shape: [0, 5], axes: 1 },
];
const benches: readonly Reduction[] = [
  { name: "everything of a batch", shape: [6400, 512], bench: true },
  { name: "rows of the catalogue", shape: [512, 26_744], axes: -1, bench: true },
  { name: "narrow rows", shape: [51_200, 50], axes: -1, bench: true },
  { name: "bias gradient", shape: [6400, 512], axes: 0, bench: true },
  { name: "pooling", shape: [64, 100, 512], axes: 1, bench: true },
];

/** Which elements of x make each element of the result. */
function members({ shape, axes, keepDims }: Reduction) {
  const reduced = new Set(
    (axes === undefined ? [...shape.keys()] : [axes].flat()).map(
      (a) => (a + shape.length) % shape.length,
    ),
  );
  const result = shape.flatMap((size, d) => (reduced.has(d) ? (keepDims ? [1] : []) : [size]));
  const target = (i: number): number => {
    let offset = 0;
    for (
      let d = shape.length - 1, rest = i, stride = 1;
      d >= 0;
      rest = Math.floor(rest / shape[d--]!)
    )
      if (!reduced.has(d)) {
        offset += (rest % shape[d]!) * stride;
        stride *= shape[d]!;
      }
    return offset;
  };
  return { result, target };
}

const elements = ({ shape }: Reduction): number => shape.reduce((a, b) => a * b, 1);

const list: CaseList[] = (
  [
    ["sum", sum],
    ["mean", mean],
    ["max", max],
    ["min", min],
  ] as const
).map(([op, run]) =>
  cases(op, [...shapes, ...benches], {
    covers: [op, op === "max" || op === "min" ? "extreme_backward" : "broadcast_to"],
    inputs: (random, { shape }) => ({ x: random.normal(shape) }),
    run: ({ x }, { axes, keepDims }) => run(x, axes, { keepDims }),
    reference({ x }, options) {
      const { result, target } = members(options);
      const start = op === "max" ? -Infinity : op === "min" ? Infinity : 0;
      const reference = hostTensor(result, () => start);
      const { data } = reference;
      const count = x.data.length / (data.length || 1);
      x.data.forEach((value, i) => {
        const to = target(i);
        if (op === "max" || op === "min") data[to] = Math[op](data[to]!, value);
        else data[to]! += op === "mean" ? value / count : value;
      });
      return reference;
    },
    terms: (options) => (op === "sum" || op === "mean" ? elements(options) : 1),
    work: (options) => ({ flops: elements(options), bytes: 4 * elements(options) }),
    torch({ axes, keepDims }) {
      const name = op === "max" || op === "min" ? `a${op}` : op;
      const dims =
        axes === undefined ? "" : `, [${[axes].flat()}], keepdim=${keepDims ? "True" : "False"}`;
      return `torch.${name}(x${dims})`;
    },
  }),
);
export default list;
