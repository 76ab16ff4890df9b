import { pad, slice, split } from "../../src/ops/slice.js";
import { type CaseList, cases, type HostTensor, hostTensor } from "./case.js";

/** Sizes before, at and after a dimension. */
function around({ shape }: HostTensor, axis: number) {
  const at = axis < 0 ? axis + shape.length : axis;
  const inner = shape.slice(at + 1).reduce((a, b) => a * b, 1);
  return { at, length: shape[at]!, inner };
}

function range(x: HostTensor, axis: number, begin: number, end: number): HostTensor {
  const { at, length, inner } = around(x, axis);
  return hostTensor(x.shape.with(at, end - begin), (i) => {
    const k = Math.floor(i / inner) % (end - begin);
    const row = Math.floor(i / inner / (end - begin));
    return x.data[(row * length + begin + k) * inner + (i % inner)]!;
  });
}

const list: CaseList[] = [
  cases(
    "slice",
    [
      { name: "leading, a view", shape: [7, 9], axis: 0, begin: 2, end: 5 },
      { name: "behind a dimension of one", shape: [1, 7, 3], axis: 1, begin: 6, end: 7 },
      { name: "one column", shape: [63, 5], axis: -1, begin: 3, end: 4 },
      { name: "columns", shape: [3, 199], axis: 1, begin: 100, end: 199 },
      { name: "between", shape: [3, 7, 5], axis: 1, begin: 0, end: 6 },
      { name: "nothing", shape: [3, 7], axis: 1, begin: 4, end: 4 },
      { name: "of nothing", shape: [0, 7], axis: 1, begin: 1, end: 4 },
      { name: "half a width", shape: [6400, 512], axis: 1, begin: 128, end: 384, bench: true },
    ],
    {
      covers: ["slice", "pad"],
      inputs: (random, { shape }) => ({ x: random.normal(shape) }),
      run: ({ x }, { axis, begin, end }) => slice(x, axis, begin, end),
      reference: ({ x }, { axis, begin, end }) => range(x, axis, begin, end),
      work: ({ shape, begin, end }) => ({ bytes: 8 * shape[0]! * (end - begin) }),
      torch: ({ axis, begin, end }) => `x.narrow(${axis}, ${begin}, ${end - begin}).clone()`,
    },
  ),
  cases(
    "pad",
    [
      { name: "rows", shape: [3, 7], axis: 0, before: 2, after: 1 },
      { name: "columns", shape: [63, 5], axis: -1, before: 0, after: 3 },
      { name: "between", shape: [2, 3, 199], axis: 1, before: 1, after: 0 },
      { name: "empty", shape: [2, 0], axis: 1, before: 1, after: 2 },
      {
        name: "a shifted sequence",
        shape: [64, 100, 128],
        axis: 1,
        before: 1,
        after: 0,
        bench: true,
      },
    ],
    {
      covers: ["pad", "slice"],
      inputs: (random, { shape }) => ({ x: random.normal(shape) }),
      run: ({ x }, { axis, before, after }) => pad(x, axis, before, after),
      reference({ x }, { axis, before, after }) {
        const { at, length, inner } = around(x, axis);
        const total = before + length + after;
        return hostTensor(x.shape.with(at, total), (i) => {
          const k = (Math.floor(i / inner) % total) - before;
          const row = Math.floor(i / inner / total);
          return k >= 0 && k < length ? x.data[(row * length + k) * inner + (i % inner)]! : 0;
        });
      },
      torch: ({ shape, axis, before, after }) => {
        const inner = shape.length - 1 - (axis < 0 ? axis + shape.length : axis);
        return `F.pad(x, [${[...new Array<number>(2 * inner).fill(0), before, after]}])`;
      },
    },
  ),
  cases(
    "split",
    [
      { name: "rows, views", shape: [7, 5], axis: 0, sizes: [3, 4, 0] },
      { name: "query, key, value", shape: [2, 3, 63], axis: -1, sizes: [21, 21, 21] },
      { name: "projections", shape: [6400, 1536], axis: -1, sizes: [512, 512, 512], bench: true },
    ],
    {
      covers: ["slice", "concat"],
      inputs: (random, { shape }) => ({ x: random.normal(shape) }),
      run: ({ x }, { axis, sizes }) => split(x, sizes, axis),
      reference({ x }, { axis, sizes }) {
        let end = 0;
        return sizes.map((size) => range(x, axis, end, (end += size)));
      },
      torch: ({ axis, sizes }) => `[part.clone() for part in x.split([${sizes}], ${axis})]`,
    },
  ),
];
export default list;
