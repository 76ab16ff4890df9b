import { cacheAppend } from "../../src/ops/cache-append.js";
import { clone } from "../../src/ops/cast.js";
import { reshape } from "../../src/ops/reshape.js";
import type { RotaryStyle } from "../../src/ops/rotary.js";
import { type CaseOptions, cases, type HostTensor } from "./case.js";

interface Options extends CaseOptions {
  capacity: number;
  kvHeads: number;
  width: number;
  /** Tokens that each sequence holds before. */
  held: readonly number[];
  /** Tokens that each sequence gets. */
  added: readonly number[];
  /** How they come. Default: dense, as many for each sequence. */
  layout?: "padded" | "ragged";
  /** Query heads that lie before them. */
  queryHeads?: number;
  rotary?: { style: RotaryStyle; width: number };
}

const shapes: readonly Options[] = [
  { name: "one token", capacity: 3, kvHeads: 1, width: 7, held: [2], added: [1] },
  { name: "empty cache", capacity: 9, kvHeads: 2, width: 4, held: [0, 0], added: [9, 9] },
  {
    name: "padded, half",
    capacity: 12,
    kvHeads: 3,
    width: 8,
    held: [0, 5, 12, 3],
    added: [4, 7, 0, 1],
    layout: "padded",
    rotary: { style: "half", width: 8 },
  },
  {
    name: "ragged, interleaved",
    capacity: 30,
    kvHeads: 2,
    width: 63,
    held: [1, 0, 29],
    added: [17, 0, 1],
    layout: "ragged",
    rotary: { style: "interleaved", width: 62 },
  },
  {
    name: "packed, half of the width turns",
    capacity: 5,
    kvHeads: 2,
    width: 8,
    held: [3, 0],
    added: [2, 2],
    queryHeads: 4,
    rotary: { style: "half", width: 4 },
  },
  {
    name: "packed, ragged",
    capacity: 5,
    kvHeads: 1,
    width: 6,
    held: [0, 4, 2],
    added: [5, 0, 3],
    layout: "ragged",
    queryHeads: 3,
    rotary: { style: "interleaved", width: 2 },
  },
  {
    name: "several tasks",
    capacity: 90,
    kvHeads: 4,
    width: 16,
    held: [7, 0],
    added: [70, 90],
    layout: "ragged",
    rotary: { style: "half", width: 16 },
  },
  { name: "no sequences", capacity: 5, kvHeads: 2, width: 4, held: [], added: [] },
  { name: "no heads", capacity: 5, kvHeads: 0, width: 4, held: [1], added: [2] },
  { name: "no tokens", capacity: 5, kvHeads: 2, width: 4, held: [1, 5], added: [0, 0] },
  {
    name: "prompt",
    capacity: 1024,
    kvHeads: 2,
    width: 64,
    held: [0, 0, 0, 0],
    added: [512, 512, 512, 512],
    queryHeads: 14,
    rotary: { style: "half", width: 64 },
    bench: true,
  },
  {
    name: "next token",
    capacity: 1024,
    kvHeads: 2,
    width: 64,
    held: Array.from({ length: 32 }, () => 700),
    added: Array.from({ length: 32 }, () => 1),
    queryHeads: 14,
    rotary: { style: "half", width: 64 },
    bench: true,
  },
];

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const most = (numbers: readonly number[]): number => Math.max(0, ...numbers);

export default cases("cache_append", shapes, {
  covers: ["cache_append"],
  inputs(random, { capacity, kvHeads, width, held, added, layout, queryHeads, rotary }) {
    const batch = held.length;
    const stored = [batch, capacity, kvHeads, width];
    const tokens = layout === "ragged" ? [sum(added)] : [batch, most(added)];
    const offsets = [0];
    for (const count of added) offsets.push(offsets.at(-1)! + count);
    const pairs = (rotary?.width ?? 0) / 2;
    const turns = Array.from({ length: rotary ? capacity * pairs : 0 }, (_, i) => {
      const angle = Math.floor(i / pairs) * 10_000 ** (-(i % pairs) / pairs);
      return [Math.cos(angle), Math.sin(angle)];
    });
    return {
      keys: random.normal(stored),
      values: random.normal(stored),
      lengths: random.values([batch], held, "int32"),
      key: random.normal([...tokens, queryHeads ? queryHeads + 2 * kvHeads : kvHeads, width]),
      value: random.normal(queryHeads ? [0] : [...tokens, kvHeads, width]),
      counts: random.values([batch], added, "int32"),
      offsets: random.values([batch + 1], offsets, "int32"),
      rotary: random.values([rotary ? capacity : 0, pairs, 2], turns.flat()),
    };
  },
  run(given, { layout, queryHeads, rotary }) {
    const { keys, values, key, value, counts, offsets } = given;
    const lengths = clone(given.lengths); // a bench appends again and again
    cacheAppend({ keys, values, lengths }, queryHeads ? { packed: key } : { key, value }, {
      counts: layout === "padded" ? counts : undefined,
      offsets: layout === "ragged" ? offsets : undefined,
      rotary: rotary && { table: given.rotary, style: rotary.style },
    });
    return [reshape(keys, keys.shape), reshape(values, values.shape), lengths];
  },
  reference(given, { capacity, kvHeads, width, held, added, layout, queryHeads, rotary }) {
    const keys = { ...given.keys, data: given.keys.data.slice() };
    const values = { ...given.values, data: given.values.data.slice() };
    const lengths: HostTensor = {
      ...given.lengths,
      data: Float64Array.from(held, (length, b) => length + added[b]!),
    };
    const heads = queryHeads ? queryHeads + 2 * kvHeads : kvHeads;
    const pairs = (rotary?.width ?? 0) / 2;
    held.forEach((length, b) => {
      for (let i = 0; i < added[b]!; i++)
        for (let h = 0; h < kvHeads; h++) {
          const token =
            layout === "ragged" ? given.offsets.data[b]! + i : b * given.key.shape[1]! + i;
          const from = (token * heads + (queryHeads ?? 0) + h) * width;
          const to = ((b * capacity + length + i) * kvHeads + h) * width;
          const [x, v] = queryHeads
            ? [given.key.data, given.key.data.subarray(kvHeads * width)]
            : [given.key.data, given.value.data];
          for (let d = 0; d < width; d++) {
            keys.data[to + d] = x[from + d]!;
            values.data[to + d] = v[from + d]!;
          }
          for (let p = 0; p < pairs; p++) {
            const [cosine, sine] = given.rotary.data.subarray(
              ((length + i) * pairs + p) * 2,
            ) as unknown as [number, number];
            const [first, second] = rotary!.style === "half" ? [p, p + pairs] : [2 * p, 2 * p + 1];
            const z = [x[from + first]!, x[from + second]!] as const;
            keys.data[to + first] = z[0] * cosine - z[1] * sine;
            keys.data[to + second] = z[0] * sine + z[1] * cosine;
          }
        }
    });
    return [keys, values, lengths];
  },
  differentiable: [],
  terms: () => 4,
  work: ({ kvHeads, width, added }) => ({ bytes: 16 * sum(added) * kvHeads * width }),
  torch: ({ kvHeads, held, added, queryHeads = 0 }) => {
    const [from, count] = [held[0]!, added[0]!];
    const turns = `rotary[${from}:${from + count}, None]`;
    return (
      `(lambda a, b, c, s: (keys[:, ${from}:${from + count}].copy_(torch.cat([a * c - b * s, b * c + a * s], -1)), ` +
      `values[:, ${from}:${from + count}].copy_(key[:, :, ${queryHeads + kvHeads}:])))` +
      `(*key[:, :, ${queryHeads}:${queryHeads + kvHeads}].chunk(2, -1), *${turns}.unbind(-1))`
    );
  },
});
