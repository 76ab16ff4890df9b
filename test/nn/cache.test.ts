/** The cache of keys and values: what it holds, how it grows, and attention over it. */
import test from "ava";
import { NativeError, ShapeError, UsageError } from "../../src/errors.js";
import { Cache, type CacheOptions } from "../../src/nn/index.js";
import {
  attention,
  concat,
  embedding,
  Generator,
  ones,
  type RotaryStyle,
  randn,
  reshape,
  rotaryTable,
  selfAttention,
  slice,
  split,
} from "../../src/ops/index.js";
import { memory, type Tensor, tensor, tidy } from "../../src/tensor/index.js";

const sizes = { layers: 2, batch: 3, kvHeads: 2, headWidth: 4 } as const;
const cacheOf = (options: Partial<CacheOptions> = {}): Cache => new Cache({ ...sizes, ...options });

const generator = new Generator(4);
const random = (...shape: number[]): Tensor => randn(shape, { generator, dtype: "float64" });

/** The values that a layer holds, sequence by sequence and token by token. */
async function held(cache: Cache, layer: number): Promise<number[][][]> {
  const none = ones([cache.batch, 0, cache.kvHeads, cache.headWidth], { dtype: cache.dtype });
  const { values, lengths } = cache.append(layer, { key: none, value: none });
  const rows = (await reshape(values, [
    cache.batch,
    values.shape[1]!,
    8,
  ]).toArray()) as number[][][];
  const counts = [...(await lengths.data())];
  return rows.map((tokens, b) => tokens.slice(0, counts[b]));
}

/** Tokens whose values are all `value`. */
const tokens = (value: number, count = 1, batch: number = sizes.batch) => {
  const shape = [batch, count, sizes.kvHeads, sizes.headWidth];
  const filled = tensor(new Float32Array(shape.reduce((a, b) => a * b)).fill(value), { shape });
  return { key: filled, value: filled };
};
const token = (value: number): number[] => new Array<number>(8).fill(value);

test.serial("pieces are the same as the whole, in every layer", async (t) => {
  const rotary = { table: rotaryTable(20, 4, { dtype: "float64" }), style: "half" } as const;
  const [whole, pieces] = [
    cacheOf({ dtype: "float64" }),
    cacheOf({ dtype: "float64", capacity: 1 }),
  ];
  const read = async (x: Tensor, lengths: readonly number[]): Promise<unknown> =>
    ((await x.toArray()) as number[][][][]).map((rows, b) => rows.slice(0, lengths[b]));
  for (const layer of [1, 0]) {
    const [key, value] = [random(3, 11, 2, 4), random(3, 11, 2, 4)];
    const all = whole.append(layer, { key, value }, { rotary });
    const [keys, values] = [split(key, [1, 4, 1, 5], 1), split(value, [1, 4, 1, 5], 1)];
    let store = all;
    for (const [i, part] of keys.entries())
      store = pieces.append(layer, { key: part, value: values[i]! }, { rotary });
    t.deepEqual(await store.lengths.toArray(), [11, 11, 11]);
    t.deepEqual(pieces.lengths(layer), [11, 11, 11]);
    for (const name of ["keys", "values"] as const)
      t.deepEqual(await read(store[name], [11, 11, 11]), await read(all[name], [11, 11, 11]));
  }
  whole.dispose();
  pieces.dispose();
});

test.serial("it grows by doubling, up to its maximum", async (t) => {
  const cache = cacheOf({ capacity: 2, maxLength: 11, layers: 1 });
  const capacities: number[] = [];
  for (let i = 1; i <= 11; i++) capacities.push(cache.append(0, tokens(i)).keys.shape[1]!);
  t.deepEqual(capacities, [2, 2, 4, 4, 8, 8, 8, 8, 11, 11, 11]);
  t.is(cache.bytes, 2 * 3 * 11 * 8 * 4);
  const sequence = Array.from({ length: 11 }, (_, i) => token(i + 1));
  t.deepEqual(await held(cache, 0), [sequence, sequence, sequence]);

  t.throws(() => cache.append(0, tokens(12), { counts: [0, 1, 0] }), {
    instanceOf: UsageError,
    message: "Cache.append: sequence 1 would have 12 tokens, more than maxLength 11",
  });
  t.deepEqual(await held(cache, 0), [sequence, sequence, sequence]);
  cache.dispose();
});

test.serial("some sequences get tokens and others do not", async (t) => {
  const cache = cacheOf({ layers: 1, capacity: 1 });
  cache.append(0, tokens(1, 2), { counts: [2, 0, 1] });
  const ragged = reshape(tokens(2, 1, 4).key, [4, 2, 4]);
  cache.append(0, { key: ragged, value: ragged }, { counts: [0, 3, 1] });
  t.deepEqual(cache.lengths(), [2, 3, 2]);
  t.deepEqual(await held(cache, 0), [
    [token(1), token(1)],
    [token(2), token(2), token(2)],
    [token(1), token(2)],
  ]);
  cache.dispose();
});

test.serial("select reorders, repeats and drops sequences", async (t) => {
  const cache = cacheOf();
  for (const layer of [0, 1]) {
    cache.append(layer, tokens(layer + 1, 2), { counts: [2, 1, 0] });
    const each = reshape(
      tensor(Float32Array.from({ length: 24 }, (_, i) => Math.floor(i / 8))),
      [3, 1, 2, 4],
    );
    cache.append(layer, { key: each, value: each });
  }
  cache.select([0, 1, 2]);
  cache.select([2, 0, 0, 1]);
  t.is(cache.batch, 4);
  t.deepEqual(cache.lengths(1), [1, 3, 3, 2]);
  cache.append(0, tokens(7, 1, 4));
  t.deepEqual(await held(cache, 0), [
    [token(2), token(7)],
    [token(1), token(1), token(0), token(7)],
    [token(1), token(1), token(0), token(7)],
    [token(1), token(1), token(7)],
  ]);
  t.deepEqual((await held(cache, 1))[3], [token(2), token(1)]);
  cache.select([3]);
  t.deepEqual(await held(cache, 0), [[token(1), token(1), token(7)]]);
  t.throws(() => cache.select([0, 1]), {
    instanceOf: UsageError,
    message: "Cache.select: 1 is not one of 1 sequences",
  });
  cache.dispose();
});

test.serial("truncate forgets the last tokens, reset everything", async (t) => {
  const cache = cacheOf({ layers: 1 });
  cache.append(0, tokens(1, 4));
  cache.truncate([1, 9, 3]);
  cache.append(0, tokens(2));
  t.deepEqual(cache.lengths(), [2, 5, 4]);
  t.deepEqual((await held(cache, 0))[0], [token(1), token(2)]);
  cache.truncate(1);
  t.deepEqual(await held(cache, 0), [[token(1)], [token(1)], [token(1)]]);
  t.throws(() => cache.truncate([1, 2]), { instanceOf: UsageError });
  cache.reset();
  t.is(cache.bytes, 0);
  cache.append(0, tokens(3));
  t.deepEqual(await held(cache, 0), [[token(3)], [token(3)], [token(3)]]);
  cache.dispose();
});

test.serial("a cache that got a failed tensor works again after reset", async (t) => {
  const cache = cacheOf({ layers: 1 });
  const failed = reshape(
    embedding(ones([2, 8]), tensor([0, 1, 2], { dtype: "int32" })),
    [3, 1, 2, 4],
  );
  const { keys } = cache.append(0, { key: failed, value: failed });
  await t.throwsAsync(() => keys.data(), {
    instanceOf: NativeError,
    message: /must be in \[0, 2\)/,
  });
  cache.reset();
  cache.append(0, tokens(1));
  t.deepEqual(await held(cache, 0), [[token(1)], [token(1)], [token(1)]]);
  cache.dispose();
});

test.serial("it outlives scopes, and leaves nothing behind", async (t) => {
  await held(cacheOf(), 0);
  const before = memory().tensors;
  const cache = cacheOf({ capacity: 1 });
  for (let step = 0; step < 5; step++)
    tidy(() => {
      for (const layer of [0, 1]) cache.append(layer, tokens(step), { counts: [1, step % 2, 1] });
      cache.select([1, 0, 2]);
      cache.truncate(4);
    });
  t.is(memory().tensors - before, 2 * 3);
  tidy(() =>
    t.throws(() => cache.append(0, { packed: ones([3, 1, 3, 4]) }), { instanceOf: ShapeError }),
  );
  t.is(memory().tensors - before, 2 * 3);
  t.deepEqual(await cache.append(0, tokens(9)).lengths.toArray(), cache.lengths(0) as number[]);
  cache.dispose();
  cache.dispose();
});

test("what does not fit is refused", (t) => {
  const cache = cacheOf();
  const refuse = (run: () => unknown, message: string): void => {
    t.throws(run, { instanceOf: UsageError, message });
  };
  refuse(() => cache.append(2, tokens(1)), "Cache: 2 is not one of 2 layers");
  refuse(
    () => cache.append(0, tokens(1), { counts: [1, 2, 0] }),
    "Cache.append: counts [1, 2, 0] must be 3 whole numbers of at most 1 tokens",
  );
  const ragged = ones([4, 2, 4]);
  refuse(
    () => cache.append(0, { key: ragged, value: ragged }),
    "Cache.append: ragged tokens need counts",
  );
  refuse(
    () => cache.append(0, { key: ragged, value: ragged }, { counts: [1, 1, 1] }),
    "Cache.append: counts [1, 1, 1] must be 3 whole numbers that add up to 4 tokens",
  );
  refuse(() => cacheOf({ batch: -1 }), "Cache: batch must be a whole number, got -1");
  t.throws(
    () => cache.append(0, tokens(1, 3), { rotary: { table: rotaryTable(2, 4), style: "half" } }),
    {
      instanceOf: ShapeError,
      message: /sequence 0 would have 3 tokens, but the rotary table \[2, 2, 2\] has 2/,
    },
  );
  t.is(cache.bytes, 0);
});

/** The largest difference. */
function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let largest = a.length === b.length ? 0 : Infinity;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}

for (const style of [undefined, "interleaved", "half"] as (RotaryStyle | undefined)[])
  for (const [heads, kvHeads] of [
    [2, 2],
    [6, 2],
    [3, 1],
  ] as const)
    test.serial(
      `tokens one at a time see what all at once see: ${heads} heads over ${kvHeads}, ${style ?? "not rotated"}`,
      async (t) => {
        const [width, steps, prompts] = [8, 5, [3, 1, 6]];
        const rotary = style && { table: rotaryTable(16, 6, { dtype: "float64" }), style };
        const sequences = prompts.map((length) =>
          random(length + steps, heads + 2 * kvHeads, width),
        );
        const expected = sequences.map((packed) =>
          reshape(
            selfAttention(reshape(packed, [1, ...packed.shape]), { heads, causal: true, rotary }),
            [packed.shape[0]!, heads * width],
          ),
        );
        const cache = new Cache({
          layers: 1,
          batch: 3,
          kvHeads,
          headWidth: width,
          capacity: 4,
          dtype: "float64",
        });
        const attend = (packed: Tensor, counts?: number[]): Tensor => {
          const { keys, values, lengths } = cache.append(0, { packed }, { counts, rotary });
          let end = 0;
          return attention(packed, keys, values, {
            heads,
            queryOffsets:
              counts && tensor(Int32Array.from([0, ...counts.map((count) => (end += count))])),
            keyLengths: lengths,
            causal: true,
            rotary: rotary && { ...rotary, rotatesKeys: false },
          });
        };
        const rows = (of: (b: number) => Tensor): Promise<number[][]> =>
          Promise.all(prompts.map(async (_, b) => [...(await of(b).data())]));

        const prompt = attend(
          concat(
            sequences.map((x, b) => slice(x, 0, 0, prompts[b]!)),
            0,
          ),
          prompts,
        );
        t.true(
          distance(
            await prompt.data(),
            (await rows((b) => slice(expected[b]!, 0, 0, prompts[b]!))).flat(),
          ) < 1e-12,
        );
        for (let step = 0; step < steps; step++) {
          const next = concat(
            sequences.map((x, b) => slice(x, 0, prompts[b]! + step, prompts[b]! + step + 1)),
            0,
          );
          const result = attend(reshape(next, [3, 1, heads + 2 * kvHeads, width]));
          const wanted = await rows((b) =>
            slice(expected[b]!, 0, prompts[b]! + step, prompts[b]! + step + 1),
          );
          t.true(distance(await result.data(), wanted.flat()) < 1e-12);
        }
        cache.dispose();
      },
    );
