import { attention, type Rotary, selfAttention } from "../../src/ops/attention.js";
import { Generator } from "../../src/ops/random.js";
import type { RotaryStyle } from "../../src/ops/rotary.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { type CaseOptions, cases, type HostTensor, hostTensor, type Random } from "./case.js";
import { philox } from "./random.js";

interface Rules extends CaseOptions {
  width: number;
  causal?: boolean;
  window?: number;
  softCap?: number;
  scale?: number;
  rotary?: RotaryStyle;
  /** Elements of a head that turn. Default: all. */
  rotaryWidth?: number;
  rotatesKeys?: boolean;
  dropout?: number;
}

interface Options extends Rules {
  heads: number;
  kvHeads?: number;
  /** Of each sequence: all equal is dense, others are ragged. */
  queries: readonly number[];
  keys: readonly number[];
  keyLayout?: "dense" | "ragged" | "rows";
  ragged?: boolean;
  /** Dense keys or rows of each sequence, where `keys` are the lengths that count. */
  keySlots?: number;
  /** Where keys are rows. */
  storedRows?: number;
}

interface SelfOptions extends Rules {
  heads: number;
  kvHeads?: number;
  lengths: readonly number[];
  /** Slots of dense sequences; ragged without. */
  slots?: number;
}

const seed = 77;
const call = 2 ** 33 + 1;
const generator = new Generator(seed);

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const offsetsOf = (lengths: readonly number[]): number[] =>
  lengths.reduce((offsets, length) => [...offsets, offsets.at(-1)! + length], [0]);
const range = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => from + i);
const repeat = (count: number, length: number): number[] => new Array<number>(count).fill(length);

/** What both functions are told. */
function rulesOf(options: Rules, table: Tensor) {
  const { causal, window, softCap, scale, rotary, rotatesKeys, dropout } = options;
  const turned: Rotary | undefined = rotary && { table, style: rotary, rotatesKeys };
  generator.restore({ seed, step: 0, call });
  return { causal, window, softCap, scale, rotary: turned, dropout, generator };
}

/** Cosines and sines of angles as they come. */
function tableOf(random: Random, options: Rules, positions: number): HostTensor {
  const pairs = options.rotary ? Math.floor((options.rotaryWidth ?? options.width) / 2) : 1;
  const angles = random.uniform([positions, pairs, 1], -3, 3);
  const data = [...angles.data].flatMap((angle) => [Math.cos(angle), Math.sin(angle)]);
  return random.values([positions, pairs, 2], data);
}

/** Token numbers of the queries and keys of a sequence. */
interface Sequence {
  queries: readonly number[];
  keys: readonly number[];
}

/** Heads as rows of one number array. */
type Heads = (token: number, head: number) => Float64Array;

const headsOf =
  ({ shape, data }: HostTensor, first = 0): Heads =>
  (token, head) => {
    const [all, width] = [shape.at(-2)!, shape.at(-1)!];
    const at = (token * all + first + head) * width;
    return data.subarray(at, at + width);
  };

function turn(x: Float64Array, table: HostTensor, position: number, style: RotaryStyle) {
  const turned = Float64Array.from(x);
  const pairs = table.shape[1]!;
  for (let i = 0; i < pairs; i++) {
    const [a, b] = style === "half" ? [i, i + pairs] : [2 * i, 2 * i + 1];
    const cos = table.data[(position * pairs + i) * 2]!;
    const sin = table.data[(position * pairs + i) * 2 + 1]!;
    turned[a] = x[a]! * cos - x[b]! * sin;
    turned[b] = x[b]! * cos + x[a]! * sin;
  }
  return turned;
}

/** By how much dropout multiplies a probability. */
function dropoutFactor(p: number, head: number, i: number, j: number): number {
  if (p === 0) return 1;
  const block = (head * 2 ** 22 + i) * 2 ** 22 + Math.floor(j / 4);
  const counter = [block, call].flatMap((n) => [n >>> 0, Math.floor(n / 2 ** 32)]);
  const word = philox(counter, [seed, 0])[j % 4]!;
  return word >= Math.round(p * 2 ** 32) ? 1 / (1 - p) : 0;
}

/** `[tokens, heads, width]` from the definition. */
function attentionByDefinition(
  sequences: readonly Sequence[],
  tokens: number,
  heads: number,
  kvHeads: number,
  query: Heads,
  key: Heads,
  value: Heads,
  table: HostTensor,
  rules: Rules,
): Float64Array {
  const { width, causal, window = Infinity, softCap, rotary, rotatesKeys = true } = rules;
  const { scale = 1 / Math.sqrt(width), dropout = 0 } = rules;
  const result = new Float64Array(tokens * heads * width);
  for (const [b, { queries, keys }] of sequences.entries())
    for (let h = 0; h < heads; h++)
      for (const [i, token] of queries.entries()) {
        const position = keys.length - queries.length + i;
        const kvHead = Math.floor(h / (heads / kvHeads));
        const visible = [...keys.keys()].filter(
          (j) => position - j < window && (causal ? j <= position : j - position < window),
        );
        if (visible.length === 0) continue;
        const q = query(token, h);
        const turnedQuery = rotary ? turn(q, table, position, rotary) : q;
        const scores = visible.map((j) => {
          const k = key(keys[j]!, kvHead);
          const turnedKey = rotary && rotatesKeys ? turn(k, table, j, rotary) : k;
          const score = scale * turnedQuery.reduce((dot, x, d) => dot + x * turnedKey[d]!, 0);
          return softCap ? softCap * Math.tanh(score / softCap) : score;
        });
        const top = Math.max(...scores);
        const total = scores.reduce((total, score) => total + Math.exp(score - top), 0);
        for (const [at, j] of visible.entries()) {
          const factor = dropoutFactor(dropout, b * heads + h, i, j);
          const weight = (factor * Math.exp(scores[at]! - top)) / total;
          const v = value(keys[j]!, kvHead);
          for (let d = 0; d < width; d++)
            result[(token * heads + h) * width + d]! += weight * v[d]!;
        }
      }
  return result;
}

const isRagged = ({ queries, ragged }: Options): boolean =>
  ragged ?? queries.some((length) => length !== queries[0]);
const keyLayoutOf = ({ keys, keySlots, keyLayout }: Options): "dense" | "ragged" | "rows" =>
  keyLayout ??
  (keySlots === undefined && keys.some((length) => length !== keys[0]) ? "ragged" : "dense");

/** What of the keys of each sequence is stored where. */
function keyTokens(options: Options, rows: ArrayLike<number>): readonly number[][] {
  const { keys } = options;
  const slots = options.keySlots ?? keys[0] ?? 0;
  const offsets = offsetsOf(keys);
  const layout = keyLayoutOf(options);
  return keys.map((length, b) =>
    layout === "ragged"
      ? range(offsets[b]!, length)
      : layout === "dense"
        ? range(b * slots, length)
        : range(b * slots, length).map((at) => rows[at]!),
  );
}

const one = [1];
const shapes: readonly Options[] = [
  { name: "one key", heads: 1, queries: one, keys: one, width: 1 },
  { name: "seven", heads: 2, queries: [7, 7], keys: [7, 7], width: 7 },
  { name: "causal", heads: 2, queries: [7, 7], keys: [7, 7], width: 16, causal: true },
  { name: "causal, more keys", heads: 1, queries: [3], keys: [9], width: 8, causal: true },
  { name: "causal, more queries", heads: 1, queries: [9], keys: [3], width: 8, causal: true },
  { name: "grouped heads", heads: 6, kvHeads: 2, queries: [5], keys: [6], width: 4 },
  { name: "one key head", heads: 4, kvHeads: 1, queries: [3, 3], keys: [5, 5], width: 5 },
  { name: "window", heads: 1, queries: [9], keys: [11], width: 4, window: 3 },
  { name: "causal window", heads: 2, queries: [11], keys: [11], width: 4, window: 3, causal: true },
  { name: "soft cap", heads: 2, queries: [5], keys: [7], width: 8, softCap: 1.5, scale: 1 },
  {
    name: "rotary, interleaved",
    heads: 2,
    queries: [5],
    keys: [7],
    width: 8,
    rotary: "interleaved",
  },
  {
    name: "rotary, half",
    heads: 2,
    queries: [7],
    keys: [7],
    width: 8,
    rotary: "half",
    causal: true,
  },
  {
    name: "rotary, part of a head",
    heads: 4,
    kvHeads: 2,
    queries: [5],
    keys: [7],
    width: 7,
    rotary: "half",
    rotaryWidth: 4,
  },
  {
    name: "rotary, turned keys",
    heads: 1,
    queries: [2],
    keys: [7],
    width: 6,
    rotary: "interleaved",
    rotatesKeys: false,
    causal: true,
  },
  { name: "dropout", heads: 2, queries: [7, 7], keys: [9, 9], width: 4, dropout: 0.3 },
  {
    name: "dropout, causal, grouped",
    heads: 4,
    kvHeads: 2,
    queries: [7],
    keys: [7],
    width: 4,
    dropout: 0.5,
    causal: true,
  },
  { name: "ragged", heads: 2, queries: [3, 0, 5, 1], keys: [4, 2, 0, 7], width: 4 },
  { name: "ragged, causal", heads: 2, queries: [3, 7], keys: [3, 9], width: 5, causal: true },
  {
    name: "key lengths",
    heads: 2,
    queries: [3, 3, 3],
    keys: [4, 0, 9],
    keySlots: 9,
    width: 4,
    causal: true,
  },
  {
    name: "ragged over a cache",
    heads: 4,
    kvHeads: 2,
    queries: [3, 1],
    keys: [4, 9],
    keySlots: 10,
    width: 4,
    causal: true,
  },
  {
    name: "rows",
    heads: 2,
    queries: [3, 3],
    keys: [5, 7],
    keySlots: 8,
    keyLayout: "rows",
    storedRows: 6,
    width: 4,
    causal: true,
    rotary: "half",
  },
  {
    name: "everything",
    heads: 4,
    kvHeads: 2,
    queries: [5, 2, 0],
    keys: [7, 9, 3],
    keySlots: 9,
    width: 6,
    causal: true,
    window: 4,
    softCap: 2,
    rotary: "interleaved",
    rotaryWidth: 4,
    dropout: 0.25,
  },
  { name: "sixty-three", heads: 1, queries: [63], keys: [63], width: 63, causal: true },
  {
    name: "sixty-four",
    heads: 2,
    kvHeads: 1,
    queries: [64],
    keys: [64],
    width: 16,
    causal: true,
    rotary: "half",
  },
  {
    name: "thirty-two queries of fifty",
    heads: 2,
    queries: [32, 32],
    keys: [50, 50],
    width: 64,
    keySlots: 50,
  },
  {
    name: "two hundred fifty-six wide",
    heads: 2,
    kvHeads: 1,
    queries: [17],
    keys: [33],
    width: 256,
    softCap: 5,
  },
  {
    name: "short, everything",
    heads: 4,
    kvHeads: 2,
    queries: [50, 31, 7],
    keys: [50, 64, 19],
    keySlots: 64,
    width: 20,
    causal: true,
    window: 24,
    softCap: 2,
    rotary: "half",
    rotaryWidth: 12,
    dropout: 0.25,
  },
  { name: "sixty-five", heads: 1, queries: [65], keys: [65], width: 4, causal: true },
  {
    name: "one hundred ninety-nine",
    heads: 2,
    kvHeads: 1,
    queries: [199],
    keys: [199],
    width: 32,
    causal: true,
    rotary: "interleaved",
  },
  {
    name: "long, everything",
    heads: 4,
    kvHeads: 2,
    queries: [130, 7],
    keys: [199, 300],
    width: 20,
    causal: true,
    window: 100,
    softCap: 3,
    rotary: "half",
    rotaryWidth: 16,
    dropout: 0.25,
  },
  {
    name: "a token after many",
    heads: 4,
    kvHeads: 2,
    queries: [1],
    keys: [500],
    width: 16,
    causal: true,
  },
  {
    name: "rows, long",
    heads: 2,
    queries: [3, 3],
    keys: [200, 77],
    keySlots: 200,
    keyLayout: "rows",
    storedRows: 90,
    width: 8,
  },
  { name: "sixty-five, twenty-four wide", heads: 2, queries: [65], keys: [65], width: 24 },
  {
    name: "one hundred twenty-nine, eighty wide",
    heads: 2,
    kvHeads: 1,
    queries: [129],
    keys: [129],
    width: 80,
    causal: true,
    rotary: "half",
  },
  {
    name: "windows beside the diagonal",
    heads: 2,
    queries: [150],
    keys: [150],
    width: 16,
    window: 20,
  },
  {
    name: "ragged around sixty-four",
    heads: 4,
    kvHeads: 2,
    queries: [64, 65, 1, 63, 0],
    keys: [65, 64, 66, 130, 70],
    width: 8,
    causal: true,
  },
  {
    name: "seventy keys",
    heads: 2,
    kvHeads: 1,
    queries: [5],
    keys: [70],
    width: 4,
    window: 60,
    causal: true,
  },
  { name: "many queries of few keys", heads: 2, queries: [100], keys: [3], width: 4, causal: true },
  { name: "many queries of no keys", heads: 2, queries: [70], keys: [0], width: 4, causal: true },
  { name: "many keys of no queries", heads: 2, queries: [0], keys: [70], width: 4, causal: true },
  {
    name: "seventy, gradients",
    heads: 2,
    kvHeads: 1,
    queries: [6],
    keys: [70],
    width: 3,
    causal: true,
    window: 40,
    softCap: 2,
    dropout: 0.25,
    gradcheck: true,
  },
  {
    name: "parts of keys",
    heads: 2,
    kvHeads: 1,
    queries: [40],
    keys: [1100],
    width: 12,
    causal: true,
    rotary: "interleaved",
    gradcheck: false,
  },
  {
    name: "one query of a thousand keys",
    heads: 3,
    kvHeads: 1,
    queries: [1],
    keys: [1000],
    width: 16,
    causal: true,
    gradcheck: false,
  },
  {
    name: "a few tokens over caches",
    heads: 2,
    kvHeads: 1,
    queries: [1, 3, 20],
    keys: [600, 257, 70],
    keySlots: 600,
    width: 6,
    causal: true,
    gradcheck: false,
  },
  {
    name: "two tokens over rows, everything",
    heads: 4,
    kvHeads: 2,
    queries: [2],
    keys: [400],
    keySlots: 410,
    keyLayout: "rows",
    storedRows: 90,
    width: 20,
    causal: true,
    window: 300,
    softCap: 2,
    rotary: "half",
    rotaryWidth: 12,
    dropout: 0.25,
  },
  {
    name: "a token that sees the end",
    heads: 1,
    queries: [3],
    keys: [530],
    width: 16,
    causal: true,
    window: 5,
  },
  {
    name: "parts of rows",
    heads: 3,
    kvHeads: 1,
    queries: [4],
    keys: [800],
    keySlots: 800,
    keyLayout: "rows",
    storedRows: 50,
    width: 8,
    rotary: "half",
    causal: true,
    gradcheck: false,
  },
  {
    name: "rows, a hundred",
    heads: 4,
    kvHeads: 2,
    queries: [5, 70],
    keys: [100, 80],
    keySlots: 101,
    keyLayout: "rows",
    storedRows: 60,
    width: 20,
    causal: true,
    rotary: "half",
  },
  { name: "no sequences", heads: 2, queries: [], keys: [], width: 4 },
  { name: "no queries", heads: 2, queries: [0, 0], keys: [3, 3], width: 4 },
  { name: "no keys", heads: 2, queries: [3], keys: [0], width: 4 },
  { name: "no width", heads: 2, queries: [3], keys: [4], width: 0 },
  {
    name: "user tokens over a history",
    heads: 9,
    queries: repeat(16, 32),
    keys: repeat(16, 50),
    width: 64,
    bench: true,
  },
  {
    name: "two thousand tokens",
    heads: 8,
    queries: [2048],
    keys: [2048],
    width: 64,
    causal: true,
    bench: true,
  },
  {
    name: "a token over its cache",
    heads: 9,
    kvHeads: 3,
    queries: [1],
    keys: [1024],
    width: 64,
    causal: true,
    bench: true,
  },
];

const list = cases("attention", shapes, {
  covers: ["attention", "attention_backward"],
  inputs: (random, options) => {
    const { heads, kvHeads = heads, queries, keys, width, storedRows = 0 } = options;
    const slots = options.keySlots ?? keys[0] ?? 0;
    const layout = keyLayoutOf(options);
    const stored =
      layout === "dense" ? [keys.length, slots] : [layout === "ragged" ? sum(keys) : storedRows];
    return {
      query: random.normal([
        ...(isRagged(options) ? [sum(queries)] : [queries.length, queries[0] ?? 0]),
        heads,
        width,
      ]),
      key: random.normal([...stored, kvHeads, width]),
      value: random.normal([...stored, kvHeads, width]),
      queryOffsets: random.values([queries.length + 1], offsetsOf(queries), "int32"),
      keyOffsets: random.values([keys.length + 1], offsetsOf(keys), "int32"),
      keyLengths: random.values([keys.length], keys, "int32"),
      rows: random.integers([keys.length, layout === "rows" ? slots : 1], storedRows),
      table: tableOf(random, options, Math.max(1, ...keys)),
    };
  },
  differentiable: ["query", "key", "value"],
  run({ query, key, value, queryOffsets, keyOffsets, keyLengths, rows, table }, options) {
    const layout = keyLayoutOf(options);
    return attention(query, key, value, {
      ...rulesOf(options, table),
      queryOffsets: isRagged(options) ? queryOffsets : undefined,
      keyOffsets: layout === "ragged" ? keyOffsets : undefined,
      keyLengths: options.keySlots !== undefined ? keyLengths : undefined,
      rows: layout === "rows" ? rows : undefined,
    });
  },
  reference({ query, key, value, rows, table }, options) {
    const { heads, kvHeads = heads, queries, width } = options;
    const tokens = keyTokens(options, rows.data);
    const first = offsetsOf(queries);
    const sequences = queries.map((length, b) => ({
      queries: range(first[b]!, length),
      keys: tokens[b]!,
    }));
    const result = attentionByDefinition(
      sequences,
      width === 0 ? 0 : query.data.length / heads / width,
      heads,
      kvHeads,
      headsOf(query),
      headsOf(key),
      headsOf(value),
      table,
      options,
    );
    return hostTensor(query.shape, (i) => result[i]!);
  },
  terms: ({ keys, width }) => Math.max(1, ...keys) + width,
  work: ({ heads, queries, keys, width, causal }) => ({
    flops: 4 * heads * width * sum(queries.map((n, b) => n * keys[b]!)) * (causal ? 0.5 : 1),
  }),
  torch: ({ causal = false, heads, kvHeads = heads, queries }) =>
    `torch.nn.functional.scaled_dot_product_attention(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), is_causal=${causal && queries[0] !== 1 ? "True" : "False"}, enable_gqa=${heads === kvHeads ? "False" : "True"}).transpose(1, 2)`,
});

const selfShapes: readonly SelfOptions[] = [
  { name: "one token", heads: 1, lengths: [1], slots: 1, width: 4 },
  { name: "causal", heads: 2, lengths: [7, 7], slots: 7, width: 16, causal: true },
  { name: "grouped heads", heads: 4, kvHeads: 2, lengths: [7], slots: 7, width: 5, causal: true },
  { name: "padding", heads: 2, lengths: [3, 0, 7], slots: 7, width: 4, causal: true },
  { name: "padding, both ways", heads: 2, lengths: [3, 5], slots: 6, width: 4, dropout: 0.3 },
  { name: "ragged", heads: 2, lengths: [3, 0, 5, 1], width: 4, causal: true },
  {
    name: "ragged, everything",
    heads: 4,
    kvHeads: 2,
    lengths: [9, 4],
    width: 6,
    causal: true,
    window: 3,
    softCap: 2,
    rotary: "half",
    dropout: 0.25,
  },
  { name: "ragged, short and long", heads: 2, lengths: [50, 70, 3, 64], width: 16, causal: true },
  { name: "nothing", heads: 2, lengths: [], slots: 5, width: 4 },
  {
    name: "histories",
    heads: 8,
    lengths: repeat(128, 50),
    slots: 50,
    width: 16,
    causal: true,
    bench: true,
  },
];

const selfList = cases("self_attention", selfShapes, {
  covers: ["attention", "attention_backward"],
  inputs: (random, options) => {
    const { heads, kvHeads = heads, lengths, slots, width } = options;
    const tokens = slots === undefined ? [sum(lengths)] : [lengths.length, slots];
    return {
      packed: random.normal([...tokens, heads + 2 * kvHeads, width]),
      offsets: random.values([lengths.length + 1], offsetsOf(lengths), "int32"),
      lengths: random.values([lengths.length], lengths, "int32"),
      table: tableOf(random, options, Math.max(1, ...lengths)),
    };
  },
  differentiable: ["packed"],
  run: ({ packed, offsets, lengths, table }, options) =>
    selfAttention(packed, {
      ...rulesOf(options, table),
      heads: options.heads,
      offsets: options.slots === undefined ? offsets : undefined,
      lengths:
        options.lengths.some((length) => length !== options.slots) && options.slots !== undefined
          ? lengths
          : undefined,
    }),
  reference({ packed, table }, options) {
    const { heads, kvHeads = heads, lengths, slots } = options;
    const offsets = offsetsOf(lengths);
    const sequences = lengths.map((length, b) => {
      const tokens = range(slots === undefined ? offsets[b]! : b * slots, length);
      return { queries: tokens, keys: tokens };
    });
    const shape = [...packed.shape.slice(0, -2), heads, options.width];
    const result = attentionByDefinition(
      sequences,
      packed.shape.slice(0, -2).reduce((a, b) => a * b, 1),
      heads,
      kvHeads,
      headsOf(packed),
      headsOf(packed, heads),
      headsOf(packed, heads + kvHeads),
      table,
      options,
    );
    return hostTensor(shape, (i) => result[i]!);
  },
  terms: ({ lengths, width }) => Math.max(1, ...lengths) + width,
  work: ({ heads, lengths, width, causal }) => ({
    flops: 4 * heads * width * sum(lengths.map((n) => n * n)) * (causal ? 0.5 : 1),
  }),
  torch: ({ heads, kvHeads = heads, causal = false }) =>
    `(lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=${causal ? "True" : "False"}))(*packed.transpose(1, 2).split([${heads}, ${kvHeads}, ${kvHeads}], 1)).transpose(1, 2)`,
});

export default [list, selfList];
