import { concat, stack } from "../../src/ops/concat.js";
import { type CaseList, cases, hostTensor } from "./case.js";

const list: CaseList[] = [
  cases(
    "concat",
    [
      { name: "rows", a: [2, 7], b: [3, 7], axis: 0 },
      { name: "columns", a: [5, 63], b: [5, 1], axis: -1 },
      { name: "one wide part", a: [3, 199], b: [3, 0], axis: 1 },
      { name: "between", a: [2, 3, 5], b: [2, 4, 5], axis: 1 },
      { name: "empty", a: [0, 4], b: [0, 3], axis: 1 },
      { name: "two embeddings", a: [6400, 128], b: [6400, 128], axis: -1, bench: true },
      { name: "soft prompt", a: [64, 10, 512], b: [64, 100, 512], axis: 1, bench: true },
    ],
    {
      covers: ["concat", "slice"],
      inputs: (random, { a, b }) => ({ a: random.normal(a), b: random.normal(b) }),
      run: ({ a, b }, { axis }) => concat([a, b, a], axis),
      reference({ a, b }, { axis }) {
        const at = axis < 0 ? axis + a.shape.length : axis;
        const [m, n] = [a.shape[at]!, b.shape[at]!];
        const inner = a.shape.slice(at + 1).reduce((x, y) => x * y, 1);
        return hostTensor(a.shape.with(at, m + n + m), (i) => {
          const column = i % inner;
          const k = Math.floor(i / inner) % (m + n + m);
          const row = Math.floor(i / inner / (m + n + m));
          if (k >= m && k < m + n) return b.data[(row * n + k - m) * inner + column]!;
          return a.data[(row * m + (k < m ? k : k - m - n)) * inner + column]!;
        });
      },
      torch: ({ axis }) => `torch.cat([a, b, a], ${axis})`,
    },
  ),
  cases(
    "stack",
    [
      { name: "in front", shape: [7, 3], axis: 0 },
      { name: "behind", shape: [5, 63], axis: -1 },
      { name: "between", shape: [2, 199], axis: 1 },
      { name: "scalars", shape: [], axis: 0 },
    ],
    {
      covers: ["concat", "slice"],
      inputs: (random, { shape }) => ({ a: random.normal(shape), b: random.normal(shape) }),
      run: ({ a, b }, { axis }) => stack([a, b], axis),
      reference({ a, b }, { shape, axis }) {
        const at = axis < 0 ? axis + shape.length + 1 : axis;
        const result = [...shape.slice(0, at), 2, ...shape.slice(at)];
        const inner = shape.slice(at).reduce((x: number, y) => x * y, 1);
        return hostTensor(result, (i) => {
          const source = Math.floor(i / inner) % 2 === 0 ? a : b;
          return source.data[Math.floor(i / (2 * inner)) * inner + (i % inner)]!;
        });
      },
      torch: ({ axis }) => `torch.stack([a, b], ${axis})`,
    },
  ),
];
export default list;
