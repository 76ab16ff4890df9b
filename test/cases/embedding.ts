import { embedding, embeddingBag, embeddings } from "../../src/ops/embedding.js";
import { type CaseOptions, cases, hostTensor } from "./case.js";

interface Options extends CaseOptions {
  rows: number;
  width: number;
  ids: readonly number[];
}

const shapes: readonly Options[] = [
  { name: "one id", rows: 1, width: 1, ids: [] },
  { name: "seven wide", rows: 5, width: 7, ids: [7] },
  { name: "sixty-three wide", rows: 9, width: 63, ids: [2, 5] },
  { name: "one hundred ninety-nine ids", rows: 3, width: 5, ids: [199] },
  { name: "more uses than a block", rows: 2, width: 67, ids: [700], gradcheck: false },
  { name: "no ids", rows: 5, width: 3, ids: [0, 4] },
  { name: "no width", rows: 5, width: 0, ids: [3] },
  { name: "no table, no ids", rows: 0, width: 3, ids: [0] },
];

interface FeatureOptions extends CaseOptions {
  ids: readonly number[];
  widths: readonly [number, number, number];
}

interface BagOptions extends CaseOptions {
  rows: number;
  width: number;
  /** Ids of each bag. */
  sizes: readonly number[];
  mode: "sum" | "mean";
}

const featureRows = [11, 5, 3] as const;
const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

function offsetsOf(sizes: readonly number[]): number[] {
  const offsets = [0];
  for (const size of sizes) offsets.push(offsets.at(-1)! + size);
  return offsets;
}

export default [
  cases(
    "embedding",
    [
      ...shapes,
      { name: "items", rows: 26_744, width: 128, ids: [128, 50], bench: true },
      { name: "wide items", rows: 26_744, width: 512, ids: [128, 50], bench: true },
    ],
    {
      covers: ["embedding", "embedding_backward"],
      inputs: (random, { rows, width, ids }) => ({
        table: random.normal([rows, width]),
        ids: random.integers(ids, rows),
      }),
      run: ({ table, ids }) => embedding(table, ids),
      reference: ({ table, ids }, { width, ids: shape }) =>
        hostTensor(
          [...shape, width],
          (i) => table.data[ids.data[Math.floor(i / width)]! * width + (i % width)]!,
        ),
      terms: ({ ids, rows }) => product(ids) / (rows || 1),
      work: ({ width, ids }) => ({ bytes: 8 * width * product(ids) }),
      torch: () => "torch.nn.functional.embedding(ids, table)",
    },
  ),
  cases(
    "embeddings",
    [
      { name: "three features", ids: [4, 5], widths: [7, 1, 16] } as FeatureOptions,
      { name: "no ids", ids: [0], widths: [2, 3, 4] },
      { name: "a feature without width", ids: [3], widths: [2, 0, 4] },
      { name: "event features", ids: [128, 50], widths: [128, 64, 32], bench: true },
    ],
    {
      covers: ["embedding", "embedding_backward"],
      inputs: (random, { ids, widths: [item, genre, rating] }) => ({
        item: random.normal([featureRows[0], item]),
        genre: random.normal([featureRows[1], genre]),
        rating: random.normal([featureRows[2], rating]),
        items: random.integers(ids, featureRows[0]),
        genres: random.integers(ids, featureRows[1]),
        ratings: random.integers(ids, featureRows[2]),
      }),
      run: ({ item, genre, rating, items, genres, ratings }) =>
        embeddings([item, genre, rating], [items, genres, ratings]),
      reference({ item, genre, rating, items, genres, ratings }, { ids, widths }) {
        const values: number[] = [];
        for (let i = 0; i < product(ids); i++)
          [item, genre, rating].forEach((table, feature) => {
            const id = [items, genres, ratings][feature]!.data[i]!;
            const width = widths[feature]!;
            values.push(...table.data.subarray(id * width, (id + 1) * width));
          });
        return hostTensor([...ids, widths[0] + widths[1] + widths[2]], (i) => values[i]!);
      },
      terms: ({ ids }) => product(ids),
      work: ({ ids, widths: [a, b, c] }) => ({ bytes: 8 * (a + b + c) * product(ids) }),
      torch: () => "torch.cat([item[items], genre[genres], rating[ratings]], -1)",
    },
  ),
  cases(
    "embedding_bag",
    [
      { name: "mean", rows: 5, width: 7, sizes: [3, 0, 1, 7], mode: "mean" } as BagOptions,
      { name: "sum", rows: 5, width: 63, sizes: [0, 4, 2], mode: "sum" },
      { name: "more ids than a block", rows: 3, width: 5, sizes: [600], mode: "mean" },
      { name: "no bags", rows: 3, width: 5, sizes: [], mode: "mean" },
      { name: "empty bags", rows: 3, width: 5, sizes: [0, 0], mode: "mean" },
      {
        name: "genres of events",
        rows: 20,
        width: 64,
        sizes: Array.from({ length: 6400 }, (_, i) => 1 + (i % 5)),
        mode: "mean",
        bench: true,
      },
    ],
    {
      covers: ["embedding_bag", "embedding_bag_backward"],
      inputs: (random, { rows, width, sizes }) => ({
        table: random.normal([rows, width]),
        ids: random.integers([offsetsOf(sizes).at(-1)!], rows),
        offsets: random.values([sizes.length + 1], offsetsOf(sizes), "int32"),
      }),
      run: ({ table, ids, offsets }, { mode }) => embeddingBag(table, ids, offsets, { mode }),
      reference({ table, ids, offsets }, { width, sizes, mode }) {
        return hostTensor([sizes.length, width], (index) => {
          const bag = Math.floor(index / width);
          const size = sizes[bag]!;
          let sum = 0;
          for (let i = offsets.data[bag]!; i < offsets.data[bag + 1]!; i++)
            sum += table.data[ids.data[i]! * width + (index % width)]!;
          return mode === "sum" || size === 0 ? sum : sum / size;
        });
      },
      terms: ({ sizes }) => Math.max(1, offsetsOf(sizes).at(-1)!),
      work: ({ width, sizes }) => ({
        flops: width * offsetsOf(sizes).at(-1)!,
        bytes: 4 * width * (offsetsOf(sizes).at(-1)! + sizes.length),
      }),
      torch: () => 'torch.nn.functional.embedding_bag(ids, table, offsets[:-1], mode="mean")',
    },
  ),
];
