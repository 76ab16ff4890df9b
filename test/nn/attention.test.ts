/** The fused layers equal the unfused ones. */
import test from "ava";
import {
  AdamW,
  Cache,
  type CachedTokens,
  CrossAttention,
  concat,
  Generator,
  MultiHeadAttention,
  type MultiHeadAttentionOptions,
  Perceiver,
  type Precision,
  RotaryEmbedding,
  randn,
  reshape,
  ShapeError,
  slice,
  split,
  type Tensor,
  TransformerBlock,
  tensor,
  tidy,
  UsageError,
  valueAndGrad,
  zeros,
} from "../../src/index.js";
import { composedAttention } from "./composed.js";
import { distance, tolerance } from "./distance.js";

const ints = (...values: number[]): Tensor => tensor(Int32Array.from(values));

interface SelfCase extends Omit<MultiHeadAttentionOptions, "rotary" | "generator"> {
  width: number;
  length: number;
  lengths?: number[];
}

const cases: Readonly<Record<string, SelfCase>> = {
  full: { width: 16, heads: 4, length: 5 },
  causal: { width: 32, heads: 2, length: 50, causal: true },
  "long and causal": { width: 32, heads: 2, length: 70, causal: true },
  "grouped heads": { width: 24, heads: 6, kvHeads: 2, length: 9, causal: true },
  "heads wider than the width": { width: 8, heads: 2, headWidth: 12, length: 7 },
  "a window": { width: 16, heads: 2, length: 20, causal: true, window: 6 },
  "a window to both sides": { width: 16, heads: 2, length: 20, window: 3 },
  "limited scores": { width: 16, heads: 2, length: 6, softCap: 1.5, scale: 2 },
  padding: { width: 16, heads: 2, length: 12, causal: true, lengths: [12, 5] },
  "padding, long": { width: 16, heads: 2, length: 80, lengths: [80, 67] },
};

for (const [name, { width, length, lengths, ...options }] of Object.entries(cases))
  test(`self-attention equals separate ops: ${name}`, async (t) => {
    const generator = new Generator(3);
    using layer = new MultiHeadAttention(width, { ...options, generator });
    const { heads, kvHeads, headWidth } = layer;
    const x = randn([2, length, width], { generator });
    const upstream = randn([2, length, width], { generator });
    const valid = lengths ?? [length, length];
    // What padding gives is not compared, and does not count.
    const counts = tensor(
      Float32Array.from({ length: 2 * length }, (_, i) =>
        Number(i % length < valid[Math.floor(i / length)]!),
      ),
      { shape: [2, length, 1] },
    );
    const composed = (): Tensor => {
      const packed = layer.qkv.forward(x);
      const [query, key, value] = split(
        packed,
        [heads, kvHeads, kvHeads].map((n) => n * headWidth),
        -1,
      ).map((part) => reshape(part, [2, length, -1, headWidth]));
      const attended = composedAttention(query!, key!, value!, {
        scale: options.scale ?? headWidth ** -0.5,
        ...(options.softCap && { softCap: options.softCap }),
        sees: (b, i, j) =>
          j < valid[b]! &&
          (!options.causal || j <= i) &&
          Math.abs(i - j) < (options.window ?? Infinity),
      });
      return layer.output.forward(attended);
    };
    const run = (forward: () => Tensor) =>
      valueAndGrad([x, ...layer.trainable()], () => {
        const output = forward().multiply(counts);
        return { loss: output.multiply(upstream).sum(), output };
      });
    const ours = run(() => layer.forward(x, lengths && { lengths: ints(...lengths) }));
    const theirs = run(composed);
    t.true((await distance(ours.output, theirs.output)) < tolerance);
    for (const leaf of [x, layer.qkv.weight, layer.output.weight])
      t.true((await distance(ours.gradients.get(leaf)!, theirs.gradients.get(leaf)!)) < tolerance);
  });

test("a ragged batch gives what each sequence gives alone", async (t) => {
  using layer = new MultiHeadAttention(16, { heads: 2, causal: true });
  const x = randn([75, 16]);
  const together = layer.forward(x, { offsets: ints(0, 5, 5, 75) });
  const parts = split(x, [5, 70], 0).map((part) => layer.forward(reshape(part, [1, -1, 16])));
  const [short, long] = split(together, [5, 70], 0);
  t.true((await distance(short!, parts[0]!)) < tolerance);
  t.true((await distance(long!, parts[1]!)) < tolerance);
});

test("cross-attention equals separate ops, its context projected before or not", async (t) => {
  const generator = new Generator(3);
  using layer = new CrossAttention(24, 10, { heads: 6, kvHeads: 3, generator });
  const x = randn([2, 7, 24], { generator });
  const context = randn([2, 70, 10], { generator });
  const lengths = ints(70, 9);
  const query = reshape(layer.query.forward(x), [2, 7, 6, 4]);
  const { key, value } = layer.project(context);
  const expected = layer.output.forward(
    composedAttention(query, key, value, { scale: 0.5, sees: (b, _, j) => j < [70, 9][b]! }),
  );
  const direct = layer.forward(x, context, { context: { lengths } });
  t.true((await distance(direct, expected)) < tolerance);
  const projected = layer.forward(x, { key, value }, { context: { lengths } });
  t.deepEqual(await projected.dataAs("float32"), await direct.dataAs("float32"));
});

test("a fresh gate changes nothing, and gets a gradient", async (t) => {
  using layer = new CrossAttention(16, 8, { heads: 2, gate: "tanh" });
  const x = randn([2, 3, 16]);
  const { output, gradients } = valueAndGrad([layer.gate!], () => {
    const output = layer.forward(x, randn([2, 5, 8]), { residual: x });
    return { loss: output.square().sum(), output };
  });
  t.deepEqual(await output.dataAs("float32"), await x.dataAs("float32"));
  t.not((await gradients.get(layer.gate!)!.dataAs("float32"))[0], 0);
});

test("a user without history leaves the queries as they are", async (t) => {
  using layer = new CrossAttention(16, 8, { heads: 2, bias: false });
  const x = randn([2, 3, 16]);
  const { output, gradients } = valueAndGrad([layer.key.weight], () => {
    const output = layer.forward(x, randn([2, 5, 8]), {
      context: { lengths: ints(0, 0) },
      residual: x,
    });
    return { loss: output.square().sum(), output };
  });
  t.deepEqual(await output.dataAs("float32"), await x.dataAs("float32"));
  t.true((await gradients.get(layer.key.weight)!.dataAs("float32")).every((value) => value === 0));
});

test("a perceiver sees neither padding nor the rest of the batch", async (t) => {
  using perceiver = new Perceiver(8, { latents: 4, layers: 2, heads: 2 });
  const context = randn([3, 6, 8]);
  const together = perceiver.forward(context, { lengths: ints(6, 2, 4) });
  t.deepEqual(together.shape, [3, 4, 8]);
  const [, second] = split(context, [1, 1, 1], 0);
  const alone = perceiver.forward(split(second!, [2, 4], 1)[0]!);
  t.true((await distance(split(together, [1, 1, 1], 0)[1]!, alone)) < tolerance);
});

test("a cache gives token by token what the whole sequence gives", async (t) => {
  const options = {
    heads: 4,
    kvHeads: 2,
    causal: true,
    window: 20,
    rotary: new RotaryEmbedding(4),
  };
  using first = new TransformerBlock(16, options);
  using second = new TransformerBlock(16, options);
  const run = (x: Tensor, cached?: Omit<CachedTokens, "layer">) => {
    const layer = (i: number) => (cached ? { cached: { ...cached, layer: i } } : {});
    return tidy(() => second.forward(first.forward(x, layer(0)), layer(1)));
  };
  using cache = new Cache({ layers: 2, batch: 2, kvHeads: 2, headWidth: 4, capacity: 4 });
  const sequences = [randn([1, 40, 16]), randn([1, 70, 16])];
  const whole = sequences.map((x) => run(x));
  // Prompts of different lengths in one ragged batch, then a token of each at a time.
  const prompts = [30, 65];
  const prompt = concat(
    sequences.map((x, b) => reshape(slice(x, 1, 0, prompts[b]!), [prompts[b]!, 16])),
    0,
  );
  const [short, long] = split(run(prompt, { cache, counts: prompts }), prompts, 0);
  for (const [b, part] of [short!, long!].entries())
    t.true((await distance(part, slice(whole[b]!, 1, 0, prompts[b]!))) < tolerance);
  for (let i = 0; i < 5; i++) {
    const token = concat(
      sequences.map((x, b) => slice(x, 1, prompts[b]! + i, prompts[b]! + i + 1)),
      0,
    );
    const next = split(run(token, { cache }), [1, 1], 0);
    for (const [b, part] of next.entries()) {
      const expected = slice(whole[b]!, 1, prompts[b]! + i, prompts[b]! + i + 1);
      t.true((await distance(part, expected)) < tolerance, `token ${i} of ${b}`);
    }
  }
  t.deepEqual(cache.lengths(1), [35, 70]);
  const { attention } = first;
  const cached = { cache, layer: 0 };
  t.throws(() => attention.forward(zeros([2, 1, 16]), { cached, lengths: ints(1, 1) }), {
    instanceOf: UsageError,
    message: /cached\.counts says which tokens are real/,
  });
  t.throws(
    () =>
      valueAndGrad([attention.qkv.weight], () =>
        attention.forward(zeros([2, 1, 16]), { cached }).sum(),
      ),
    { instanceOf: UsageError, message: /a cache has no gradient/ },
  );
});

test("bfloat16 layers compute nearly the same, and train their float32 weights", async (t) => {
  const make = (precision: Precision) =>
    new TransformerBlock(32, { heads: 4, mlp: "swiglu", precision });
  using exact = make("float32");
  using rounded = make("bfloat16");
  rounded.loadStateDict(exact.stateDict());
  const x = randn([2, 20, 32]);
  const [a, b] = [exact.forward(x), rounded.forward(x)];
  const off = await distance(b, a);
  t.true(off > 1e-5 && off < 2e-2, String(off));
  using optimizer = new AdamW(rounded.trainable(), { learningRate: 1e-2 });
  const losses: number[] = [];
  for (let step = 0; step < 20; step++) {
    const loss = tidy(() => {
      const { loss, gradients } = valueAndGrad(rounded.trainable(), () =>
        rounded.forward(x).square().mean(),
      );
      for (const [, parameter] of rounded.namedParameters())
        t.is(gradients.get(parameter)!.dtype, "float32");
      optimizer.step(gradients);
      return loss;
    });
    losses.push(await loss.item());
    loss.dispose();
  }
  t.true(losses.at(-1)! < 0.5 * losses[0]!, losses.join());
  // What it computes now is what its weights say, not what they said.
  using fresh = make("bfloat16");
  fresh.loadStateDict(rounded.stateDict());
  t.deepEqual(await rounded.forward(x).dataAs("float32"), await fresh.forward(x).dataAs("float32"));
});

test("dropout is drawn while training, the same again from the same seed", async (t) => {
  const run = async (train: boolean, seed: number) => {
    const generator = new Generator(seed);
    using layer = new MultiHeadAttention(16, { heads: 2, dropout: 0.5, generator });
    layer.loadStateDict(weights.stateDict());
    const output = tidy(() => layer.train(train).forward(x));
    return output.dataAs("float32");
  };
  using weights = new MultiHeadAttention(16, { heads: 2 });
  const x = randn([2, 9, 16]);
  t.deepEqual(await run(true, 1), await run(true, 1));
  t.notDeepEqual(await run(true, 1), await run(true, 2));
  t.deepEqual(await run(false, 1), await run(false, 2));
});

test("what does not fit is refused", (t) => {
  const refuse = (heads: object) => () => new MultiHeadAttention(10, { heads: 2, ...heads });
  t.throws(refuse({ heads: 3 }), {
    instanceOf: UsageError,
    message: "MultiHeadAttention: heads 3 must divide width 10",
  });
  t.throws(refuse({ kvHeads: 3 }), { message: /kvHeads 3 must divide heads 2/ });
  t.throws(refuse({ heads: 0 }), { message: /heads must be a whole number, got 0/ });
  using attention = new MultiHeadAttention(4, { heads: 2 });
  t.throws(() => attention.forward(zeros([2, 3, 5])), {
    instanceOf: ShapeError,
    message: "MultiHeadAttention: x must be [batch, length, 4], got [2, 3, 5]",
  });
  t.throws(() => attention.forward(zeros([2, 3, 4]), { offsets: ints(0, 2) }), {
    message: "MultiHeadAttention: x must be [tokens, 4], got [2, 3, 4]",
  });
  using cross = new CrossAttention(4, 6, { heads: 2 });
  t.throws(() => cross.forward(zeros([2, 3, 4]), zeros([2, 3, 4])), {
    instanceOf: ShapeError,
    message: /the context must be \[batch, keys, 6\]/,
  });
  t.throws(() => new Perceiver(4, { latents: 0 }), { message: /latents must be a whole number/ });
});
