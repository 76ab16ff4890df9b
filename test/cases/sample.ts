import { arange } from "../../src/ops/arange.js";
import { broadcastTo } from "../../src/ops/broadcast-to.js";
import { cast } from "../../src/ops/cast.js";
import { equal } from "../../src/ops/compare.js";
import { Generator } from "../../src/ops/random.js";
import { max } from "../../src/ops/reduce.js";
import { reshape, unsqueeze } from "../../src/ops/reshape.js";
import { type SampleOptions, sample, sampleWithLogProbability } from "../../src/ops/sample.js";
import {
  type CaseList,
  type CaseOptions,
  cases,
  type HostTensor,
  hostTensor,
  type Random,
} from "./case.js";
import { words } from "./random.js";

type Filters = Omit<SampleOptions, "generator">;

interface Options extends CaseOptions {
  rows: readonly number[];
  classes: number;
  /** Standard deviation of the logits. Default: 3. */
  scale?: number;
  /** Rounds logits to multiples of 1/grid, so that there are equal ones. */
  grid?: number;
  /** Share of logits that are -∞. */
  hidden?: number;
  filters: Filters;
}

const shapes: readonly Options[] = [
  { name: "one class", rows: [3], classes: 1, filters: {} },
  { name: "one row", rows: [], classes: 7, filters: {} },
  { name: "sixty-three classes", rows: [5, 7], classes: 63, filters: {} },
  { name: "hot", rows: [40], classes: 199, filters: { temperature: 2.5 } },
  { name: "cold", rows: [40], classes: 199, filters: { temperature: 0.3 } },
  { name: "greedy", rows: [9], classes: 63, grid: 1, filters: { temperature: 0 } },
  { name: "greedy, hidden", rows: [9], classes: 7, hidden: 0.6, filters: { temperature: 0 } },
  { name: "hidden", rows: [60], classes: 63, hidden: 0.7, filters: { temperature: 1.5 } },
  { name: "top-k", rows: [60], classes: 199, filters: { topK: 10 } },
  { name: "top-k, one", rows: [9], classes: 7, grid: 1, filters: { topK: 1 } },
  { name: "top-k, more than pieces", rows: [30], classes: 199, filters: { topK: 50 } },
  { name: "top-k, more than there are", rows: [9], classes: 7, filters: { topK: 100 } },
  { name: "top-k, ties", rows: [60], classes: 63, grid: 0.3, filters: { topK: 5 } },
  { name: "top-k, hidden", rows: [9], classes: 63, hidden: 0.95, filters: { topK: 20 } },
  { name: "top-p", rows: [60], classes: 199, filters: { topP: 0.9 } },
  { name: "top-p, flat", rows: [30], classes: 999, scale: 0.1, filters: { topP: 0.5 } },
  { name: "top-p, ties", rows: [60], classes: 199, grid: 0.5, filters: { topP: 0.55 } },
  { name: "top-p, nothing", rows: [9], classes: 63, filters: { topP: 0 } },
  { name: "top-p, hidden", rows: [9], classes: 63, hidden: 0.5, filters: { topP: 0.99 } },
  { name: "min-p", rows: [60], classes: 199, filters: { minP: 0.1 } },
  { name: "min-p, all of the largest", rows: [9], classes: 63, grid: 0.5, filters: { minP: 1 } },
  {
    name: "everything",
    rows: [3, 30],
    classes: 199,
    filters: { temperature: 1.7, topK: 40, topP: 0.8, minP: 0.05 },
  },
  {
    name: "several pieces",
    rows: [10],
    classes: 4_999,
    filters: { temperature: 1.3, topK: 30, topP: 0.9 },
  },
  { name: "several pieces, any", rows: [10], classes: 4_999, filters: {} },
  { name: "several pieces, top-p", rows: [5], classes: 4_999, scale: 1, filters: { topP: 0.95 } },
  { name: "no rows", rows: [0, 2], classes: 3, filters: { topK: 2 } },
  { name: "vocabulary", rows: [16], classes: 151_936, filters: {}, bench: true },
  {
    name: "vocabulary, greedy",
    rows: [16],
    classes: 151_936,
    filters: { temperature: 0 },
    bench: true,
  },
  {
    name: "vocabulary, top-k and top-p",
    rows: [16],
    classes: 151_936,
    filters: { temperature: 0.7, topK: 50, topP: 0.9 },
    bench: true,
  },
  {
    name: "vocabulary, top-p",
    rows: [16],
    classes: 151_936,
    filters: { temperature: 0.7, topP: 0.9 },
    bench: true,
  },
  {
    name: "vocabulary, top-p, flat",
    rows: [16],
    classes: 151_936,
    scale: 0.1,
    filters: { topP: 0.9 },
    bench: true,
  },
];

const seed = 0x77_1234_5678;
const call = 2 ** 33 + 3;
const generator = new Generator(seed);

/** The generator, about to make the call of the cases. */
function at(): Generator {
  generator.restore({ seed, step: 0, call });
  return generator;
}

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** The classes that the filters leave, with their weights: everything sorted, as one would write it. */
export function left(
  logits: readonly number[],
  { temperature = 1, topK = 0, topP = 1, minP = 0 }: Filters,
): Map<number, number> {
  const largest = Math.max(...logits);
  if (temperature === 0) return new Map([[logits.indexOf(largest), 1]]);
  const weights = logits.map((x) => Math.exp((x - largest) / temperature));
  let order = [...logits.keys()].sort((i, j) => logits[j]! - logits[i]! || i - j);
  if (topK > 0 && topK < order.length)
    order = order.filter((i) => logits[i]! >= logits[order[topK - 1]!]!);
  if (topP < 1) {
    const all = order.reduce((sum, i) => sum + weights[i]!, 0);
    let before = 0;
    order = order.filter((i, position) => {
      const keep = position === 0 || before < topP * all;
      before += weights[i]!;
      return keep;
    });
  }
  if (minP > 0) order = order.filter((i) => logits[i]! >= largest + temperature * Math.log(minP));
  return new Map(order.sort((i, j) => i - j).map((i) => [i, weights[i]!]));
}

function inputs(random: Random, { rows, classes, scale = 3, grid, hidden = 0 }: Options) {
  const logits = random.normal([...rows, classes], scale);
  const shown = random.uniform([...rows, classes], 0, 1);
  return {
    logits: {
      ...logits,
      data: logits.data.map((x, i) => {
        if (shown.data[i]! < hidden && i % classes !== 2) return -Infinity;
        return grid ? Math.round(x * grid) / grid : x;
      }),
    },
  };
}

/** The same with torch: the filters as generation applies them. */
const torch = ({ filters: { temperature = 1, topK = 0, topP = 1 } }: Options): string => {
  if (temperature === 0) return "logits.argmax(-1)";
  const scaled = `logits / ${temperature}`;
  if (topK > 0 && topP < 1)
    return (
      `(lambda top: top.indices.gather(1, torch.multinomial(top.values.softmax(-1).where(` +
      `top.values.softmax(-1).cumsum(-1) - top.values.softmax(-1) < ${topP}, 0.0), 1)))(torch.topk(${scaled}, ${topK}))`
    );
  if (topP < 1)
    return (
      `(lambda top: top.indices.gather(1, torch.multinomial(top.values.where(` +
      `top.values.cumsum(-1) - top.values < ${topP}, 0.0), 1)))((${scaled}).softmax(-1).sort(-1, descending=True))`
    );
  return `torch.multinomial((${scaled}).softmax(-1), 1)`;
};

const list: CaseList[] = [
  cases("sample", shapes, {
    covers: ["sample"],
    inputs,
    run({ logits }, { filters }) {
      const drawn = sampleWithLogProbability(logits, { ...filters, generator: at() });
      return [drawn.ids, drawn.logProbability];
    },
    reference({ logits }, { rows, classes, filters }) {
      const word = words(2 * product(rows), call, seed);
      const ids: HostTensor = { ...hostTensor(rows, () => 0), dtype: "int32" };
      const logProbability = hostTensor(rows, (r) => {
        const row = [...logits.data.subarray(r * classes, (r + 1) * classes)];
        const kept = left(row, filters);
        const bits = (BigInt(word[2 * r + 1]!) << 32n) | BigInt(word[2 * r]!);
        const target =
          (Number(bits >> 11n) / 2 ** 53) * [...kept.values()].reduce((a, b) => a + b, 0);
        let sum = 0;
        const [id] = [...kept].find(([, weight]) => (sum += weight) > target)!;
        ids.data[r] = id;
        const largest = Math.max(...row);
        return (
          row[id]! - largest - Math.log(row.reduce((total, x) => total + Math.exp(x - largest), 0))
        );
      });
      return [ids, logProbability];
    },
    differentiable: [],
    terms: ({ classes }) => classes,
    work: ({ rows, classes }) => ({ bytes: 4 * product(rows) * classes }),
    torch,
  }),
  // Which classes many draws from one row of logits find: all that are left, and no other.
  cases(
    "sample_supports",
    [
      { name: "top-k", classes: 13, filters: { topK: 4 } },
      { name: "top-p", classes: 13, filters: { topP: 0.7 } },
      { name: "min-p", classes: 13, filters: { minP: 0.3 } },
      {
        name: "everything",
        classes: 13,
        filters: { temperature: 2, topK: 10, topP: 0.9, minP: 0.25 },
      },
    ] as readonly (CaseOptions & { classes: number; filters: Filters })[],
    {
      covers: ["sample"],
      inputs: (random, { classes }) => ({ logits: random.normal([3, classes]) }),
      run({ logits }, { classes, filters }) {
        const rows = broadcastTo(unsqueeze(logits, 1), [3, 2_000, classes]);
        const ids = sample(rows, { ...filters, generator: at() });
        const drawn = equal(
          unsqueeze(ids, -1),
          reshape(arange(classes, { dtype: "int32" }), [1, 1, classes]),
        );
        return cast(max(cast(drawn, "float32"), 1), logits.dtype);
      },
      reference: ({ logits }, { classes, filters }) =>
        hostTensor([3, classes], (i) => {
          const row = Math.floor(i / classes) * classes;
          const kept = left([...logits.data.subarray(row, row + classes)], filters);
          return Number(kept.has(i % classes));
        }),
      differentiable: [],
    },
  ),
];
export default list;
