/** What the case lists leave out of attention: that layouts agree, hidden and hostile values, replayed dropout. */
import test, { type ExecutionContext } from "ava";
import { checkpoint, grad } from "../../src/autograd/index.js";
import { NativeError, ShapeError, UsageError } from "../../src/errors.js";
import {
  attention,
  concat,
  Generator,
  multiply,
  randn,
  reshape,
  rotaryTable,
  type SelfAttentionOptions,
  selfAttention,
  slice,
  sum,
} from "../../src/ops/index.js";
import { memory, type Tensor, tensor, tidy } from "../../src/tensor/index.js";

const ints = (...values: number[]): Tensor => tensor(values, { dtype: "int32" });
function normal(seed: number, ...shape: number[]): Tensor {
  const generator = new Generator(seed);
  const x = randn(shape, { generator });
  generator.dispose();
  return x;
}

type Values = Float32Array;
const read = async (x: Tensor): Promise<Values> => {
  const values = (await x.data()) as Values;
  x.dispose();
  return values;
};

/** The result of `run`, and the gradients of its sum times `weights` by `inputs`. */
async function passes(
  inputs: readonly Tensor[],
  weights: Tensor,
  run: () => Tensor,
): Promise<Values[]> {
  const result = await read(tidy(run));
  const gradients = grad(inputs, () => sum(multiply(run(), weights)));
  return [result, ...(await Promise.all(inputs.map((x) => read(gradients.get(x)!))))];
}

const largest = (values: Values): number => values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
const distance = (a: Values, b: Values): number =>
  a.length === b.length ? largest(a.map((x, i) => x - b[i]!)) : Infinity;

type Using = <T extends { dispose(): void }[]>(...things: [...T]) => T;

/** A test whose tensors are disposed after it; it fails if there are others left. */
const check = (
  name: string,
  body: (t: ExecutionContext, using: Using) => void | Promise<void>,
): void =>
  test.serial(name, async (t) => {
    const before = memory().tensors;
    const used: { dispose(): void }[] = [];
    try {
      await body(t, (...things) => {
        used.push(...things);
        return things;
      });
    } finally {
      for (const thing of used) thing.dispose();
    }
    t.is(memory().tensors, before, "tensors leaked");
  });

const lengths = [50, 64, 1, 90, 7, 0, 130];
const rules: Record<string, (table: Tensor) => SelfAttentionOptions> = {
  causal: () => ({ causal: true }),
  full: () => ({}),
  "window, cap, rotary": (table) => ({
    causal: true,
    window: 20,
    softCap: 3,
    rotary: { table, style: "half" },
  }),
};

for (const [name, rulesOf] of Object.entries(rules))
  check(`padding, raggedness and neighbours change no bit: ${name}`, async (t, using) => {
    const [heads, kvHeads, width] = [4, 2, 16];
    const [slots, all] = [140, heads + 2 * kvHeads];
    const tokens = lengths.reduce((a, b) => a + b, 0);
    const offsets = lengths.reduce((sums, n) => [...sums, sums.at(-1)! + n], [0]);
    const row = all * width;
    const [ragged, weights, table, offsetsOf, lengthsOf] = using(
      normal(1, tokens, all, width),
      normal(2, tokens, heads, width),
      rotaryTable(slots, 12),
      ints(...offsets),
      ints(...lengths),
    );
    const options = { heads, ...rulesOf(table) };
    const expected = await passes([ragged], weights, () =>
      selfAttention(ragged, { ...options, offsets: offsetsOf }),
    );
    t.true(expected.every((values) => values.every(Number.isFinite) && largest(values) > 0.1));

    // In slots whose padding is NaN.
    const source = (await ragged.data()) as Values;
    const spread = (values: Values, from: number, fill: number): Tensor => {
      const data = new Float32Array(lengths.length * slots * from).fill(fill);
      lengths.forEach((n, b) => {
        data.set(values.subarray(offsets[b]! * from, (offsets[b]! + n) * from), b * slots * from);
      });
      return tensor(data, { shape: [lengths.length, slots, from / width, width] });
    };
    const gathered = (values: Values, from: number): Values => {
      const data = new Float32Array(tokens * from);
      let outside = 0;
      lengths.forEach((n, b) => {
        const at = b * slots * from;
        data.set(values.subarray(at, at + n * from), offsets[b]! * from);
        outside = Math.max(outside, largest(values.subarray(at + n * from, at + slots * from)));
      });
      t.is(outside, 0, "padding yields zeros");
      return data;
    };
    const [padded, paddedWeights] = using(
      spread(source, row, Number.NaN),
      spread((await weights.data()) as Values, heads * width, 1),
    );
    const inSlots = await passes([padded], paddedWeights, () =>
      selfAttention(padded, { ...options, lengths: lengthsOf }),
    );
    t.deepEqual(gathered(inSlots[0]!, heads * width), expected[0]);
    t.deepEqual(gathered(inSlots[1]!, row), expected[1]);

    // Each alone.
    for (const [b, n] of lengths.entries()) {
      const part = tidy(() =>
        reshape(slice(ragged, 0, offsets[b]!, offsets[b]! + n), [1, n, all, width]),
      );
      const result = await read(tidy(() => selfAttention(part, options)));
      part.dispose();
      const from = offsets[b]! * heads * width;
      t.deepEqual(result, expected[0]!.subarray(from, from + result.length).slice());
    }
  });

for (const length of [50, 100])
  check(`packed, separate and gathered keys agree: ${length} tokens`, async (t, using) => {
    const [batch, heads, kvHeads, width] = [2, 4, 2, 16];
    const [packed, weights, table] = using(
      normal(3, batch, length, heads + 2 * kvHeads, width),
      normal(4, batch, length, heads, width),
      rotaryTable(length, width),
    );
    const options = { causal: true, rotary: { table, style: "interleaved" } } as const;
    const expected = await passes([packed], weights, () =>
      selfAttention(packed, { ...options, heads }),
    );
    const [query, key, value] = using(
      ...(tidy(() => [
        slice(packed, 2, 0, heads).multiply(1),
        slice(packed, 2, heads, heads + kvHeads).multiply(1),
        slice(packed, 2, heads + kvHeads, heads + 2 * kvHeads).multiply(1),
      ]) as [Tensor, Tensor, Tensor]),
    );
    const separate = await passes([query, key, value], weights, () =>
      attention(query, key, value, options),
    );
    t.deepEqual(separate[0], expected[0]);
    const [queryGrad, keyGrad, valueGrad] = using(
      ...(separate
        .slice(1)
        .map((data, i) =>
          tensor(data, { shape: [batch, length, i === 0 ? heads : kvHeads, width] }),
        ) as [Tensor, Tensor, Tensor]),
    );
    const joined = await read(concat([queryGrad, keyGrad, valueGrad], 2));
    t.deepEqual(joined, expected[1]);

    // A cache beside packed queries: only those have a gradient in them.
    const beside = await passes([packed], weights, () =>
      attention(packed, key, value, { ...options, heads }),
    );
    t.deepEqual(beside[0], expected[0]);
    const onlyQueries = await read(
      tidy(() => concat([queryGrad, multiply(keyGrad, 0), multiply(valueGrad, 0)], 2)),
    );
    t.deepEqual(
      beside[1]!.map((x) => x + 0),
      onlyQueries.map((x) => x + 0),
    );

    // Rows of a store, in another order, with rows that nobody reads.
    const order = Array.from({ length: batch * length }, (_, i) => (i * 7) % (batch * length));
    const shuffled = async (x: Tensor): Promise<Tensor> => {
      const [from, size] = [(await x.data()) as Values, kvHeads * width];
      const data = new Float32Array((batch * length + 3) * size).fill(Number.NaN);
      order.forEach((row, i) => {
        data.set(from.subarray(i * size, (i + 1) * size), row * size);
      });
      return tensor(data, { shape: [batch * length + 3, kvHeads, width] });
    };
    const [storedKey, storedValue, rows] = using(
      await shuffled(key),
      await shuffled(value),
      tensor(order, { shape: [batch, length], dtype: "int32" }),
    );
    const gathered = await passes([query, storedKey, storedValue], weights, () =>
      attention(query, storedKey, storedValue, { ...options, rows }),
    );
    t.deepEqual(gathered[0], expected[0]);
    for (const [i, gradient] of [keyGrad, valueGrad].entries()) {
      const wanted = (await gradient.data()) as Values;
      const size = kvHeads * width;
      const back = new Float32Array(wanted.length);
      order.forEach((row, at) => {
        back.set(gathered[2 + i]!.subarray(row * size, (row + 1) * size), at * size);
      });
      t.true(distance(back, wanted) < 1e-5 * largest(wanted));
      t.is(largest(gathered[2 + i]!.subarray(wanted.length)), 0);
    }
  });

check("short and long sequences agree where they see the same", async (t, using) => {
  const [packed] = using(normal(5, 1, 200, 6, 24));
  const long = await read(tidy(() => selfAttention(packed, { causal: true })));
  const short = await read(tidy(() => selfAttention(slice(packed, 1, 0, 64), { causal: true })));
  t.true(distance(short, long.slice(0, short.length)) < 1e-6 * largest(short) * 8);
});

check("a query that sees no key yields zeros, with zero gradients", async (t, using) => {
  for (const [queries, keys, visible] of [
    [5, 3, [0, 2]],
    [90, 70, [0, 66]],
  ] as const) {
    const [query, key, value, keyLengths, weights] = using(
      normal(6, 2, queries, 2, 8),
      normal(7, 2, keys, 2, 8),
      normal(8, 2, keys, 2, 8),
      ints(...visible),
      normal(9, 2, queries, 2, 8),
    );
    const [result, queryGrad, keyGrad, valueGrad] = await passes([query, key, value], weights, () =>
      attention(query, key, value, { causal: true, keyLengths }),
    );
    const blind = (queries + queries - visible[1]) * 16;
    for (const values of [result!, queryGrad!]) {
      t.is(largest(values.subarray(0, blind)), 0);
      t.true(largest(values.subarray(blind)) > 0.1);
    }
    for (const values of [keyGrad!, valueGrad!]) {
      const one = keys * 16;
      t.is(largest(values.subarray(0, one)), 0);
      t.is(largest(values.subarray(one + visible[1] * 16)), 0);
      t.true(values.every(Number.isFinite));
    }
  }
});

check("dropout is the same in every layout, and as often as asked for", async (t, using) => {
  const seeded = (seed: number) => using(new Generator(seed))[0];
  for (const length of [40, 80]) {
    const [packed, counts, offsets] = using(
      normal(10, 3, length, 9, 16),
      ints(length, length - 9, 3),
      ints(0, length, 2 * length - 9, 2 * length - 6),
    );
    const run = (x: Tensor, options: SelfAttentionOptions) =>
      read(
        tidy(() =>
          selfAttention(x, { dropout: 0.4, generator: seeded(3), causal: true, ...options }),
        ),
      );
    const padded = await run(packed, { lengths: counts });
    const ragged = await run(
      using(
        tidy(() =>
          concat(
            [length, length - 9, 3].map((n, b) =>
              reshape(slice(slice(packed, 0, b, b + 1), 1, 0, n), [n, 9, 16]),
            ),
            0,
          ),
        ),
      )[0],
      { offsets },
    );
    t.deepEqual(padded.slice(0, length * 48), ragged.slice(0, length * 48));
    t.deepEqual(
      padded.slice(2 * length * 48, (2 * length + 3) * 48),
      ragged.slice((2 * length - 9) * 48),
    );
    t.notDeepEqual(await run(packed, { lengths: counts, generator: seeded(4) }), padded);
  }
  // Equal values of one: a result is the share of the probability that was kept, scaled.
  const [packed] = using(tensor(new Float32Array(64 * 60 * 3).fill(1), { shape: [64, 60, 3, 1] }));
  const kept = await read(
    tidy(() => selfAttention(packed, { dropout: 0.4, generator: seeded(5) })),
  );
  const mean = kept.reduce((a, b) => a + b, 0) / kept.length;
  const deviation = Math.sqrt(0.4 / 0.6 / (64 * 60 * 60));
  t.true(Math.abs(mean - 1) < 5 * deviation, `${mean}`);
});

check("a checkpoint replays dropout", async (t, using) => {
  const [packed, weights] = using(normal(11, 2, 30, 6, 16), normal(12, 2, 30, 2, 16));
  const gradientOf = async (wrapped: boolean): Promise<Values> => {
    const [generator] = using(new Generator(8));
    const attend = (x: Tensor) => selfAttention(x, { causal: true, dropout: 0.3, generator });
    const gradients = grad([packed], () =>
      sum(multiply(wrapped ? checkpoint(attend, packed) : attend(packed), weights)),
    );
    return read(gradients.get(packed)!);
  };
  t.deepEqual(await gradientOf(true), await gradientOf(false));
});

check("values that do not fit are faults that name them", async (t, using) => {
  const [packed, flat, query, key, table] = using(
    normal(13, 2, 5, 6, 8),
    normal(14, 10, 6, 8),
    normal(15, 2, 3, 2, 8),
    normal(16, 10, 2, 8),
    rotaryTable(4, 8),
  );
  const rows = (...values: number[]) => tensor(values, { shape: [2, 2], dtype: "int32" });
  const calls: [() => Tensor, RegExp][] = [
    [
      () => selfAttention(packed, { lengths: ints(5, 6) }),
      /key_lengths\[1\] = 6 must be in \[0, 6\)/,
    ],
    [
      () => selfAttention(packed, { lengths: ints(-1, 5) }),
      /key_lengths\[0\] = -1 must be in \[0, 6\)/,
    ],
    [
      () => selfAttention(flat, { offsets: ints(1, 5, 10) }),
      /query_offsets\[0\] = 1 does not fit: query_offsets must rise from 0 to 10, the number of tokens/,
    ],
    [
      () => selfAttention(flat, { offsets: ints(0, 7, 3, 10) }),
      /query_offsets\[2\] = 3 does not fit/,
    ],
    [() => selfAttention(flat, { offsets: ints(0, 5, 9) }), /query_offsets\[2\] = 9 does not fit/],
    [
      () => selfAttention(flat, { offsets: ints(0, 2 ** 31 - 1, 10) }),
      /query_offsets\[1\] = 2147483647 does not fit/,
    ],
    [
      () => attention(query, key, key, { keyOffsets: ints(0, 4, 11) }),
      /key_offsets\[2\] = 11 does not fit/,
    ],
    [
      () => attention(query, key, key, { rows: rows(0, 9, 10, 1) }),
      /rows\[2\] = 10 must be in \[0, 10\)/,
    ],
    [
      () => attention(query, key, key, { rows: rows(0, 9, 3, -5) }),
      /rows\[3\] = -5 must be in \[0, 10\)/,
    ],
    [
      () => selfAttention(packed, { rotary: { table, style: "half" } }),
      /position 4 must be in \[0, 4\), the positions of the rotary table/,
    ],
    [
      () =>
        attention(query, key, key, {
          keyOffsets: ints(0, 2, 10),
          rotary: { table, style: "half" },
        }),
      /position -1 must be in \[0, 4\)/,
    ],
  ];
  for (const [call, message] of calls)
    for (const run of [
      () => tidy(call),
      () => {
        const gradients = grad([packed, flat, query, key], () => sum(call()));
        const poisoned = [...gradients.values()];
        for (const x of poisoned.slice(1)) x.dispose();
        return poisoned[0]!;
      },
    ]) {
      const result = run();
      await t.throwsAsync(() => result.data(), { instanceOf: NativeError, message });
      result.dispose();
    }
});

check("calls that cannot be are refused with what is wrong", (t, using) => {
  const [query, key, value, packed, table] = using(
    normal(1, 2, 3, 4, 8),
    normal(1, 2, 5, 2, 8),
    normal(1, 2, 5, 2, 8),
    normal(1, 2, 3, 7, 8),
    rotaryTable(9, 8),
  );
  const [odd, narrow] = using(normal(1, 2, 5, 3, 8), normal(1, 2, 5, 2, 6));
  const refused = (call: () => Tensor, type: new (...args: never[]) => Error, message: RegExp) =>
    t.throws(() => tidy(call), { instanceOf: type as never, message });
  refused(() => attention(query, odd, odd), UsageError, /heads 4 must be a multiple of kv_heads 3/);
  refused(
    () => attention(query, key, odd),
    ShapeError,
    /value \[2, 5, 3, 8\] must have 2 key heads, got 3/,
  );
  refused(
    () => attention(query, narrow, narrow),
    ShapeError,
    /query \[2, 3, 4, 8\] and key \[2, 5, 2, 6\] must have the same head width \(8 vs 6\)/,
  );
  refused(
    () => attention(query, key, value, { dropout: 1 }),
    UsageError,
    /dropout must be in \[0, 1\), got 1/,
  );
  refused(
    () => attention(query, key, value, { window: 1.5 }),
    UsageError,
    /window must be a whole number/,
  );
  refused(
    () => attention(query, key, value, { keyOffsets: ints(0, 1, 2) }),
    ShapeError,
    /key must be \[tokens, kvHeads, headWidth\], got \[2, 5, 2, 8\]/,
  );
  refused(
    () => attention(query, key, value, { keyLengths: ints(1, 2, 3) }),
    ShapeError,
    /key_lengths \[3\] must be \[2\], one for each sequence/,
  );
  refused(() => selfAttention(packed), UsageError, /7 are not/);
  refused(() => selfAttention(packed, { heads: 4 }), UsageError, /7 are not/);
  refused(
    () => attention(query, key, value, { rotary: { table, style: "spiral" as never } }),
    UsageError,
    /must be "interleaved" or "half", got "spiral"/,
  );
  refused(
    () => attention(narrow, narrow, narrow, { rotary: { table, style: "half" } }),
    ShapeError,
    /table|rotary \[9, 4, 2\] turns 8 elements of heads that are 6 wide/,
  );
  t.throws(
    () =>
      grad([table], () => sum(attention(query, key, value, { rotary: { table, style: "half" } }))),
    { instanceOf: UsageError, message: /a rotary table has no gradient/ },
  );
});

check("a rotary table has the cosines and sines of its angles", async (t, using) => {
  const [plain, fast, given, double] = using(
    rotaryTable(5, 6),
    rotaryTable(5, 6, { base: 500 }),
    rotaryTable(5, 6, { inverseFrequencies: [1, 500 ** (-1 / 3), 500 ** (-2 / 3)] }),
    rotaryTable(5, 6, { dtype: "float64" }),
  );
  t.deepEqual(plain.shape, [5, 3, 2]);
  const values = await plain.data();
  t.is(double.dtype, "float64");
  const exact = await double.data();
  for (let position = 0; position < 5; position++)
    for (let i = 0; i < 3; i++) {
      const angle = position * 10_000 ** (-i / 3);
      const at = (position * 3 + i) * 2;
      t.true(Math.abs(exact[at]! - Math.cos(angle)) < 1e-15);
      t.true(Math.abs(exact[at + 1]! - Math.sin(angle)) < 1e-15);
      t.is(values[at], Math.fround(exact[at]!));
    }
  t.true(distance((await fast.data()) as Values, (await given.data()) as Values) < 1e-7);
  t.throws(() => rotaryTable(5, 7), { message: /width must be an even number, got 7/ });
  t.throws(() => rotaryTable(-1, 6), { message: /positions must be a whole number/ });
  t.throws(() => rotaryTable(5, 6, { base: 0 }), { message: /base must be positive/ });
  t.throws(() => rotaryTable(5, 6, { inverseFrequencies: [1] }), {
    message: /inverseFrequencies must be one for each pair, 3, got 1/,
  });
});

check("rotary attention depends on distances alone", async (t, using) => {
  const [packed, table] = using(normal(17, 1, 60, 6, 16), rotaryTable(100, 16));
  const later = using(tidy(() => slice(table, 0, 40, 100).multiply(1)))[0];
  for (const style of ["interleaved", "half"] as const) {
    const run = (from: Tensor) =>
      read(tidy(() => selfAttention(packed, { causal: true, rotary: { table: from, style } })));
    const [here, there] = [await run(table), await run(later)];
    t.true(distance(here, there) < 1e-5);
    const without = await read(tidy(() => selfAttention(packed, { causal: true })));
    t.true(distance(here, without) > 0.1);
  }
});
