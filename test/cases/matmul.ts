import { matmul } from "../../src/ops/matmul.js";
import { type CaseOptions, cases, type HostTensor, hostTensor } from "./case.js";

interface Options extends CaseOptions {
  batch?: readonly number[];
  rows: number;
  inner: number;
  columns: number;
  transposeA?: boolean;
  transposeB?: boolean;
  /** Which operand is one matrix for the whole batch. */
  shared?: "a" | "b";
  scale?: number;
}

const oddSizes: readonly Options[] = [
  { name: "one by one", rows: 1, inner: 1, columns: 1 },
  { name: "seven", rows: 7, inner: 7, columns: 7 },
  { name: "sixty-three", rows: 63, inner: 7, columns: 1, scale: 0.5 },
  { name: "long inner", rows: 3, inner: 199, columns: 5, gradcheck: false },
  { name: "no rows", rows: 0, inner: 3, columns: 4 },
  { name: "no inner", rows: 2, inner: 0, columns: 3 },
  { name: "no batch", batch: [0, 2], rows: 2, inner: 3, columns: 3 },
  { name: "no batch, shared b", batch: [0], rows: 2, inner: 3, columns: 3, shared: "b" },
];

const layouts = [false, true].flatMap((transposeA) =>
  [false, true].flatMap((transposeB) =>
    ([undefined, "a", "b"] as const).map(
      (shared): Options => ({
        name: `batch${transposeA ? ", a transposed" : ""}${transposeB ? ", b transposed" : ""}${shared ? `, ${shared} shared` : ""}`,
        batch: [2, 3],
        rows: 5,
        inner: 7,
        columns: 9,
        transposeA,
        transposeB,
        ...(shared && { shared }),
        scale: 0.25,
      }),
    ),
  ),
);

const benched: readonly Options[] = [
  { name: "6400x512x512", rows: 6400, inner: 512, columns: 512, bench: true },
  {
    name: "attention scores",
    batch: [64, 8],
    rows: 128,
    inner: 16,
    columns: 128,
    transposeB: true,
    scale: 0.25,
    bench: true,
  },
];

const shapesOf = ({
  batch = [],
  rows,
  inner,
  columns,
  transposeA,
  transposeB,
  shared,
}: Options) => ({
  a: [...(shared === "a" ? [] : batch), ...(transposeA ? [inner, rows] : [rows, inner])],
  b: [...(shared === "b" ? [] : batch), ...(transposeB ? [columns, inner] : [inner, columns])],
});

const count = (batch: readonly number[] = []) => batch.reduce((a, b) => a * b, 1);

/** Of item `item` of the batch; a shared operand has one matrix for all of them. */
function element(
  x: HostTensor,
  item: number,
  row: number,
  column: number,
  transposed?: boolean,
): number {
  const [height, width] = x.shape.slice(-2) as [number, number];
  const [i, j] = transposed ? [column, row] : [row, column];
  return x.data[(x.shape.length === 2 ? 0 : item) * height * width + i * width + j]!;
}

export default cases("matmul", [...oddSizes, ...layouts, ...benched], {
  covers: ["matmul"],
  inputs: (random, options) => {
    const shapes = shapesOf(options);
    return { a: random.normal(shapes.a), b: random.normal(shapes.b) };
  },
  run: ({ a, b }, { transposeA = false, transposeB = false, scale = 1 }) =>
    matmul(a, b, { transposeA, transposeB, scale }),
  reference({ a, b }, { batch = [], rows, inner, columns, transposeA, transposeB, scale = 1 }) {
    return hostTensor([...batch, rows, columns], (index) => {
      const item = Math.floor(index / (rows * columns));
      const row = Math.floor(index / columns) % rows;
      let sum = 0;
      for (let k = 0; k < inner; k++)
        sum +=
          element(a, item, row, k, transposeA) * element(b, item, k, index % columns, transposeB);
      return scale * sum;
    });
  },
  terms: ({ inner }) => inner,
  work: ({ batch, rows, inner, columns }) => ({
    flops: 2 * count(batch) * rows * inner * columns,
    bytes: 4 * count(batch) * (rows * inner + inner * columns + rows * columns),
  }),
  torch: ({ transposeA, transposeB, scale = 1 }) =>
    `torch.matmul(a${transposeA ? ".mT" : ""}, b${transposeB ? ".mT" : ""}) * ${scale}`,
});
