import { matmulTopK, rankOfTargets } from "../../src/ops/matmul-top-k.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { type CaseList, type CaseOptions, cases, type HostTensor, hostTensor } from "./case.js";

export interface CatalogueCase extends CaseOptions {
  rows: readonly number[];
  classes: number;
  width: number;
  k: number;
  bias?: boolean;
  /** How many ids each row leaves out, in turn; repeats count. */
  excluded?: readonly number[];
  /** Whole numbers: scores are exact, and many are equal. */
  whole?: boolean;
  /** Share of NaN and infinities in the bias. */
  odd?: number;
}

const shapes: readonly CatalogueCase[] = [
  { name: "one class", rows: [3], classes: 1, width: 7, k: 1 },
  { name: "all of seven", rows: [], classes: 7, width: 5, k: 7 },
  { name: "sixty-three classes, bias", rows: [2, 5], classes: 63, width: 7, k: 10, bias: true },
  { name: "ties", rows: [30], classes: 199, width: 3, k: 20, whole: true },
  {
    name: "left out",
    rows: [5],
    classes: 63,
    width: 7,
    k: 10,
    bias: true,
    excluded: [0, 1, 40, 3],
  },
  {
    name: "hardly any left",
    rows: [7],
    classes: 9,
    width: 3,
    k: 9,
    whole: true,
    excluded: [0, 8, 40, 100],
  },
  {
    name: "not a number, infinite",
    rows: [40],
    classes: 199,
    width: 3,
    k: 120,
    bias: true,
    whole: true,
    odd: 0.5,
    excluded: [0, 60],
  },
  {
    name: "several blocks",
    rows: [31],
    classes: 2_345,
    width: 13,
    k: 33,
    whole: true,
    excluded: [0, 9, 200],
  },
  {
    name: "several segments",
    rows: [3],
    classes: 9_001,
    width: 5,
    k: 17,
    bias: true,
    whole: true,
    excluded: [50, 0],
  },
  {
    name: "many rows",
    rows: [400],
    classes: 70,
    width: 3,
    k: 5,
    whole: true,
    excluded: [2, 0],
  },
  { name: "wide", rows: [5], classes: 37, width: 1_000, k: 4, bias: true, whole: true },
  { name: "no width", rows: [3], classes: 5, width: 0, k: 2, bias: true },
  { name: "none", rows: [3], classes: 5, width: 2, k: 0 },
  { name: "no rows", rows: [0, 2], classes: 5, width: 2, k: 2, excluded: [] },
  { name: "catalogue", rows: [512], classes: 26_744, width: 128, k: 20, bench: true },
  { name: "catalogue, one row", rows: [1], classes: 26_744, width: 128, k: 20, bench: true },
  {
    name: "catalogue, seen items",
    rows: [512],
    classes: 26_744,
    width: 128,
    k: 20,
    excluded: [100],
    bench: true,
  },
];

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** NaN first, then larger ones. */
const before = (a: number, b: number): number =>
  Number.isNaN(a) || Number.isNaN(b)
    ? Number(Number.isNaN(b)) - Number(Number.isNaN(a))
    : Number(b > a) - Number(b < a);

export type Inputs = Record<
  "x" | "weight" | "bias" | "excluded" | "offsets" | "targets",
  HostTensor
>;

const inputs: Parameters<typeof cases<CatalogueCase, Inputs>>[2]["inputs"] = (
  random,
  { rows, classes, width, excluded = [], whole, odd = 0 },
) => {
  const count = product(rows);
  const grid = (x: HostTensor): HostTensor =>
    whole ? { ...x, data: x.data.map((value) => Math.round(2 * value)) } : x;
  const sizes = Array.from({ length: count }, (_, r) => excluded[r % excluded.length] ?? 0);
  const offsets = [0];
  for (const size of sizes) offsets.push(offsets.at(-1)! + size);
  const bias = grid(random.normal([classes]));
  const oddities = [Number.NaN, Infinity, -Infinity];
  return {
    x: grid(random.normal([...rows, width])),
    weight: grid(random.normal([classes, width])),
    bias: {
      ...bias,
      data: bias.data.map((value, i) => (i % 101 < 100 * odd ? oddities[i % 3]! : value)),
    },
    excluded: random.integers([offsets.at(-1)!], classes),
    offsets: random.values([count + 1], offsets, "int32"),
    targets: random.integers(rows, classes),
  };
};

export const catalogueOptions = (
  { bias, excluded, offsets }: Record<"bias" | "excluded" | "offsets", Tensor>,
  options: CatalogueCase,
) => ({
  bias: options.bias ? bias : undefined,
  excluded: options.excluded ? { ids: excluded, offsets } : undefined,
});

/** The scores of a row, and which classes it leaves out. */
function rowOf(given: Inputs, { classes, width, bias, excluded }: CatalogueCase, r: number) {
  const scores = Array.from({ length: classes }, (_, c) => {
    let sum = bias ? given.bias.data[c]! : 0;
    for (let i = 0; i < width; i++)
      sum += given.x.data[r * width + i]! * given.weight.data[c * width + i]!;
    return sum;
  });
  const [from, to] = given.offsets.data.slice(r, r + 2);
  return { scores, left: new Set(excluded ? given.excluded.data.slice(from, to) : []) };
}

const work = ({ rows, classes, width }: CatalogueCase) => ({
  flops: 2 * product(rows) * classes * width,
  bytes: 4 * (product(rows) + classes) * width,
});

const list: CaseList[] = [
  cases("matmul_top_k", shapes, {
    covers: ["matmul_top_k"],
    inputs,
    run(given, shape) {
      const { values, indices } = matmulTopK(
        given.x,
        given.weight,
        shape.k,
        catalogueOptions(given, shape),
      );
      return [values, indices];
    },
    reference(given, shape) {
      const { rows, k } = shape;
      const values = hostTensor([...rows, k], () => -Infinity);
      const indices: HostTensor = { ...hostTensor([...rows, k], () => -1), dtype: "int32" };
      for (let r = 0; r < product(rows); r++) {
        const { scores, left } = rowOf(given, shape, r);
        const order = [...scores.keys()]
          .filter((c) => !left.has(c))
          .sort((i, j) => before(scores[i]!, scores[j]!) || i - j);
        order.slice(0, k).forEach((c, i) => {
          values.data[r * k + i] = scores[c]!;
          indices.data[r * k + i] = c;
        });
      }
      return [values, indices];
    },
    differentiable: [],
    terms: ({ width }) => width,
    work,
    torch: ({ k, excluded }) =>
      excluded
        ? `torch.topk((x @ weight.T).index_put((torch.arange(512).repeat_interleave(100), excluded.long()), torch.tensor(-torch.inf)), ${k})`
        : `torch.topk(x @ weight.T, ${k})`,
  }),
  cases("matmul_rank", shapes, {
    covers: ["matmul_rank"],
    inputs,
    run: (given, shape) =>
      rankOfTargets(given.x, given.weight, given.targets, catalogueOptions(given, shape)),
    reference(given, shape) {
      const ranks = hostTensor(shape.rows, (r) => {
        const { scores, left } = rowOf(given, shape, r);
        const target = given.targets.data[r]!;
        const others = scores.filter((_, c) => c !== target && !left.has(c));
        return 1 + others.filter((score) => !(score < scores[target]!)).length;
      });
      return { ...ranks, dtype: "int32" };
    },
    differentiable: [],
    work,
    torch: ({ excluded }) =>
      excluded
        ? "(lambda scores: (scores.index_put((torch.arange(512).repeat_interleave(100), excluded.long()), torch.tensor(-torch.inf)) >= scores.gather(1, targets.long()[:, None])).sum(1))(x @ weight.T)"
        : "(lambda scores: (scores >= scores.gather(1, targets.long()[:, None])).sum(1))(x @ weight.T)",
  }),
];
export default list;
