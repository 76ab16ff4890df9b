import { argmax, topK } from "../../src/ops/top-k.js";
import { type CaseList, cases, type HostTensor, hostTensor } from "./case.js";

/** NaN first, then larger ones; of equal ones the first. */
const before = (a: number, b: number): number =>
  Number.isNaN(a) || Number.isNaN(b) ? Number(Number.isNaN(b)) - Number(Number.isNaN(a)) : b - a;

const list: CaseList[] = [
  cases(
    "top_k",
    [
      { name: "one class", rows: 3, classes: 1, k: 1 },
      { name: "all of seven", rows: 2, classes: 7, k: 7 },
      { name: "sixty-three", rows: 5, classes: 63, k: 10 },
      { name: "ties", rows: 5, classes: 199, k: 20, levels: 4, gradcheck: false },
      { name: "none", rows: 3, classes: 5, k: 0 },
      { name: "no rows", rows: 0, classes: 5, k: 2 },
      { name: "catalogue, 10", rows: 512, classes: 26_744, k: 10, bench: true },
      { name: "catalogue, 100", rows: 512, classes: 26_744, k: 100, bench: true },
    ] as { name: string; rows: number; classes: number; k: number; levels?: number }[],
    {
      covers: ["top_k", "gather_backward"],
      inputs(random, { rows, classes, levels }) {
        const x = random.normal([rows, classes]);
        return {
          x: levels ? { ...x, data: x.data.map((v) => Math.round(v * levels) / levels) } : x,
        };
      },
      run({ x }, { k }) {
        const { values, indices } = topK(x, k);
        return [values, indices];
      },
      reference({ x }, { rows, classes, k }) {
        const values = hostTensor([rows, k], () => 0);
        const indices: HostTensor = { ...hostTensor([rows, k], () => 0), dtype: "int32" };
        for (let r = 0; r < rows; r++) {
          const row = x.data.subarray(r * classes, (r + 1) * classes);
          const order = [...row.keys()].sort((i, j) => before(row[i]!, row[j]!) || i - j);
          for (let i = 0; i < k; i++) {
            values.data[r * k + i] = row[order[i]!]!;
            indices.data[r * k + i] = order[i]!;
          }
        }
        return [values, indices];
      },
      work: ({ rows, classes }) => ({ bytes: 4 * rows * classes }),
      torch: ({ k }) => `torch.topk(x, ${k})`,
    },
  ),
  cases(
    "argmax",
    [
      { name: "last", shape: [5, 63], axis: -1 },
      { name: "leading", shape: [7, 199], axis: 0 },
      { name: "between", shape: [3, 5, 7], axis: 1 },
      { name: "one", shape: [1], axis: 0 },
      { name: "no rows", shape: [0, 3], axis: 1 },
      { name: "catalogue", shape: [512, 26_744], axis: -1, bench: true },
    ],
    {
      covers: ["argmax"],
      // Few different values, so that there are ties.
      inputs(random, { shape }) {
        const x = random.normal(shape);
        return { x: { ...x, data: x.data.map((value) => Math.round(3 * value)) } };
      },
      differentiable: [],
      run: ({ x }, { axis }) => argmax(x, axis),
      reference({ x }, { shape, axis }) {
        const at = axis < 0 ? axis + shape.length : axis;
        const inner = shape.slice(at + 1).reduce((a: number, b) => a * b, 1);
        const result = hostTensor(shape.toSpliced(at, 1), (i) => {
          const first = Math.floor(i / inner) * shape[at]! * inner + (i % inner);
          let best = 0;
          for (let k = 1; k < shape[at]!; k++)
            if (x.data[first + k * inner]! > x.data[first + best * inner]!) best = k;
          return best;
        });
        return { ...result, dtype: "int32" };
      },
      work: ({ shape }) => ({ bytes: 4 * shape.reduce((a: number, b) => a * b, 1) }),
      torch: ({ axis }) => `torch.argmax(x, ${axis})`,
    },
  ),
];
export default list;
