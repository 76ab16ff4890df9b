/** The autoregressive encoder on invented histories; its numbers are compared with PyTorch's in another file. */
import test from "ava";
import fc from "fast-check";
import {
  AdamW,
  Generator,
  memory,
  rand,
  rankOfTargets,
  seed,
  type Tensor,
  tensor,
  tidy,
  UsageError,
  valueAndGrad,
} from "../../src/index.js";
import { AutoregressiveEncoder, type AutoregressiveOptions } from "../../src/models/index.js";
import { batchOf, type Event, features, inventedEvents, items, uniforms } from "./event-batches.js";

// The default generator keeps a tensor for its seed, which is the same in all tests.
seed(3);
rand([1]).dispose();

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

const length = 9;
const width = 16;
const small = { width, heads: 2, layers: 2, dropout: 0 } as const;

/** With the same initial values each time, unless the options say what draws them. */
function encoderOf(options: AutoregressiveOptions = {}): AutoregressiveEncoder {
  seed(3);
  return new AutoregressiveEncoder({ features, length }, { ...small, ...options });
}

const windowsOf = (counts: readonly number[], start = 1): Event[][] => {
  const random = uniforms(start);
  return counts.map((count) => inventedEvents(count, random));
};

/** The numbers of tensors, which are freed. */
const numbers = (tensors: readonly Tensor[]): Promise<number[][]> =>
  Promise.all(
    tensors.map(async (each) => {
      const values = [...(await each.data())].map(Number);
      each.dispose();
      return values;
    }),
  );

const furthest = (a: readonly number[], b: readonly number[]): number =>
  a.length === b.length
    ? a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0)
    : Infinity;

interface Way {
  readonly layout: "padded" | "ragged";
  readonly length?: number;
  readonly padding?: number;
}

interface Made {
  /** Of each window: the embeddings of its inputs, and its query. */
  readonly embeddings: readonly number[][];
  readonly queries: readonly number[][];
  /** Loss and gradients of the batch times the positions that they are a mean over. */
  readonly sums: readonly number[];
}

/** All that an encoder makes of a batch. */
async function make(encoder: AutoregressiveEncoder, windows: readonly Event[][], way: Way) {
  using batch = batchOf(windows, way);
  const { count, ...tensors } = tidy(() => {
    const { loss, gradients, count } = valueAndGrad(encoder.trainable(), () => encoder.loss(batch));
    const sums = [loss, ...encoder.trainable().map((each) => gradients.get(each)!)];
    return { count, embed: encoder.embed(batch), query: encoder.query(batch), sums };
  });
  const [embed, query, ...means] = await numbers([tensors.embed, tensors.query, ...tensors.sums]);
  const inputs = windows.map((window) => window.length - 1);
  let end = 0;
  const begins = inputs.map((each, i) =>
    way.layout === "ragged" ? (end += each) - each : i * tensors.embed.shape[1]!,
  );
  const made: Made = {
    embeddings: begins.map((begin, i) => embed!.slice(begin * width, (begin + inputs[i]!) * width)),
    queries: begins.map((_, i) => query!.slice(i * width, (i + 1) * width)),
    sums: means.flat().map((mean) => mean * count),
  };
  return made;
}

for (const positions of ["learned", "rotary"] as const)
  test.serial(`${positions}: padding, neighbours, order and layout change nothing`, async (t) => {
    using encoder = encoderOf({ positions, dtype: "float64", lossWeights: { rating: 0.5 } });
    const someWindows = fc
      .tuple(fc.array(fc.integer({ min: 2, max: 8 }), { minLength: 1, maxLength: 4 }), fc.nat())
      .map(([counts, start]) => windowsOf(counts, start));
    const way: fc.Arbitrary<Way> = fc.oneof(
      fc.constant({ layout: "ragged" } as const),
      fc.record({
        layout: fc.constant("padded" as const),
        length: fc.integer({ min: 7, max: length }),
        padding: fc.nat(4),
      }),
    );
    await fc.assert(
      fc.asyncProperty(someWindows, way, fc.nat(), async (windows, chosen, start) => {
        const alone: Made[] = [];
        for (const window of windows)
          alone.push(await make(encoder, [window], { layout: "ragged" }));
        const random = uniforms(start);
        const order = [...windows.keys()]
          .map((window) => ({ window, key: random() }))
          .sort((a, b) => a.key - b.key)
          .map(({ window }) => window);
        const together = await make(
          encoder,
          order.map((window) => windows[window]!),
          chosen,
        );
        for (const [i, window] of order.entries()) {
          const [embeddings] = alone[window]!.embeddings;
          t.true(furthest(together.embeddings[i]!, embeddings!) < 1e-12);
          t.true(furthest(together.queries[i]!, alone[window]!.queries[0]!) < 1e-12);
        }
        const sums = together.sums.map((_, i) =>
          alone.reduce((sum, each) => sum + each.sums[i]!, 0),
        );
        t.true(furthest(together.sums, sums) < 1e-11);
      }),
      { numRuns: 20 },
    );
  });

test.serial(
  "an embedding knows the events up to its own, and each of their features",
  async (t) => {
    using encoder = encoderOf({ dtype: "float64" });
    const [window] = windowsOf([8]);
    const other: Event = { item: 1, genre: [4, 2], rating: 3 };
    const embeddingsOf = async (changed: Partial<Event>) => {
      const events = window!.map((event, i) => (i === 4 ? { ...event, ...changed } : event));
      return (await make(encoder, [events], { layout: "ragged" })).embeddings[0]!;
    };
    const same = await embeddingsOf({});
    for (const name of ["item", "genre", "rating"] as const) {
      t.notDeepEqual(window![4]![name], other[name]);
      const changed = await embeddingsOf({ [name]: other[name] });
      t.deepEqual(changed.slice(0, 4 * width), same.slice(0, 4 * width), `${name}: the past`);
      for (let at = 4; at < 7; at++)
        t.not(changed[at * width], same[at * width], `${name}: event ${at}`);
    }
  },
);

/** Trains on all windows at once. */
async function train(encoder: AutoregressiveEncoder, windows: readonly Event[][], steps: number) {
  using optimizer = new AdamW(encoder.trainable(), { learningRate: 1e-2 });
  using batch = batchOf(windows);
  for (let step = 0; step < steps; step++)
    tidy(() => {
      const { gradients } = valueAndGrad(encoder.trainable(), () => encoder.loss(batch).loss);
      optimizer.step(gradients);
    });
  await encoder.parameters()[0]!.value.data();
}

test.serial("a tiny set is learnt by heart", async (t) => {
  using encoder = encoderOf();
  const windows = windowsOf([9, 5, 7, 3, 8, 6, 4, 9, 9, 5]);
  const ranks = async () => {
    using batch = batchOf(windows);
    const next = Int32Array.from(windows, (window) => window.at(-1)!.item);
    const [found] = await numbers([
      tidy(() => rankOfTargets(encoder.query(batch), encoder.itemTable().weight, tensor(next))),
    ]);
    return found!;
  };
  t.true((await ranks()).some((rank) => rank > 1));
  await train(encoder, windows, 60);
  t.deepEqual(
    await ranks(),
    windows.map(() => 1),
  );
});

test.serial("what ranks is what the loss compares", async (t) => {
  using encoder = encoderOf({ dtype: "float64", featureWidths: { item: 6 } });
  const windows = windowsOf([2, 2, 2, 2]);
  using batch = batchOf(windows);
  const { parts, ...tensors } = tidy(() => {
    const { weight } = encoder.itemTable();
    const { parts } = encoder.loss(batch);
    return { parts, weight, scores: encoder.query(batch).matmul(weight.transpose()) };
  });
  t.deepEqual(tensors.weight.shape, [items, 6]);
  t.deepEqual(Object.keys(parts), ["item", "genre", "rating"]);
  const scores = (await tensors.scores.toArray()) as number[][];
  const losses = scores.map((row, i) => {
    const sum = row.reduce((total, score) => total + Math.exp(score), 0);
    return Math.log(sum) - row[windows[i]![1]!.item]!;
  });
  const mean = losses.reduce((sum, loss) => sum + loss, 0) / 4;
  t.true(Math.abs((await parts.item!.item()) - mean) < 1e-12);
  for (const each of [...Object.values(parts), ...Object.values(tensors)]) each.dispose();
});

test.serial("a feature of weight 0 is read and not predicted", async (t) => {
  using encoder = encoderOf({ lossWeights: { genre: 0, rating: 0 } });
  using batch = batchOf(windowsOf([4, 6]));
  const { targets, ...rest } = batch;
  const { loss, parts } = tidy(() => encoder.loss({ ...rest, targets: { item: targets.item! } }));
  t.deepEqual(Object.keys(parts), ["item"]);
  t.is(await loss.item(), await parts.item!.item());
  loss.dispose();
});

test.serial("on the item alone it is SASRec: nothing is projected", (t) => {
  using encoder = new AutoregressiveEncoder(
    { features: features.slice(0, 1), length },
    { ...small, layers: 1, hiddenWidth: 20 },
  );
  const shapes = [...encoder.namedParameters()].map(([path, { value }]) => [
    path,
    [...value.shape],
  ]);
  t.deepEqual(Object.fromEntries(shapes), {
    "events.tables.item.weight": [items, width],
    "positions.weight": [length, width],
    "blocks.0.attentionNorm.weight": [width],
    "blocks.0.attentionNorm.bias": [width],
    "blocks.0.attention.qkv.weight": [3 * width, width],
    "blocks.0.attention.qkv.bias": [3 * width],
    "blocks.0.attention.output.weight": [width, width],
    "blocks.0.attention.output.bias": [width],
    "blocks.0.mlpNorm.weight": [width],
    "blocks.0.mlpNorm.bias": [width],
    "blocks.0.mlp.up.weight": [20, width],
    "blocks.0.mlp.up.bias": [20],
    "blocks.0.mlp.down.weight": [width, 20],
    "blocks.0.mlp.down.bias": [width],
    "norm.weight": [width],
    "norm.bias": [width],
  });
  const table = tidy(() => encoder.itemTable().weight);
  t.is(table, encoder.events.tables.get("item")!.weight.value, "scores come from the table itself");
});

test.serial("dropout is of training alone; the same seed is the same run", async (t) => {
  const windows = windowsOf([7, 4, 5]);
  const run = async (start: number) => {
    using generator = new Generator(start);
    using encoder = encoderOf({ dropout: 0.3, generator });
    await train(encoder, windows, 3);
    return (await make(encoder, windows, { layout: "padded" })).sums;
  };
  const first = await run(1);
  t.deepEqual(await run(1), first);
  t.notDeepEqual(await run(2), first);

  using encoder = encoderOf({ dropout: 0.3 });
  using plain = encoderOf({ dropout: 0 });
  const lossOf = async (of: AutoregressiveEncoder) =>
    (await make(of, windows, { layout: "padded" })).sums[0]!;
  t.not(await lossOf(encoder), await lossOf(encoder));
  encoder.eval();
  t.is(await lossOf(encoder), await lossOf(plain));
  t.is(await lossOf(encoder), await lossOf(encoder));
});

test.serial("bfloat16 stays near float32", async (t) => {
  const windows = windowsOf([7, 4, 9]);
  using encoder = encoderOf();
  using rough = encoderOf({ precision: "bfloat16" });
  const [fine, coarse] = [
    await make(encoder, windows, { layout: "ragged" }),
    await make(rough, windows, { layout: "ragged" }),
  ];
  const [loss, ...gradients] = fine.sums;
  const [roughLoss, ...roughGradients] = coarse.sums;
  t.not(roughLoss, loss);
  t.true(Math.abs(roughLoss! - loss!) < 0.01 * loss!);
  // Embeddings are of length 4; products of two blocks, each rounded to 8 bits.
  t.true(furthest(fine.embeddings.flat(), coarse.embeddings.flat()) < 0.1);
  const product = (a: readonly number[], b: readonly number[]) =>
    a.reduce((sum, value, i) => sum + value * b[i]!, 0);
  const cosine =
    product(gradients, roughGradients) /
    Math.sqrt(product(gradients, gradients) * product(roughGradients, roughGradients));
  t.true(cosine > 0.999, `${cosine}`);
});

for (const [options, message] of [
  [{ layers: 0 }, "AutoregressiveEncoder: layers must be a whole number, at least 1, got 0"],
  [{ width: 2.5 }, "AutoregressiveEncoder: width must be a whole number, at least 1, got 2.5"],
  [{ heads: 3 }, "AutoregressiveEncoder: heads 3 must divide width 16"],
  [
    { positions: "rotary", heads: 16 },
    "AutoregressiveEncoder: rotary positions need an even width of a head, got 16 / 16 = 1",
  ],
  [
    { positions: "sinusoidal" },
    'AutoregressiveEncoder: positions must be "learned" or "rotary", got "sinusoidal"',
  ],
  [{ dropout: 1 }, "AutoregressiveEncoder: dropout must be from 0 to below 1, got 1"],
  [{ labelSmoothing: 1 }, "FeatureHeads: labelSmoothing must be from 0 to below 1, got 1"],
  [
    { lossWeights: { genres: 1 } },
    'FeatureHeads: lossWeights: "genres" is not a feature of this encoder, which has item, genre, rating',
  ],
  [
    { lossWeights: { genre: -1 } },
    "FeatureHeads: lossWeights.genre must be a number from 0 on, got -1",
  ],
  [
    { lossWeights: { item: 0, genre: 0, rating: 0 } },
    "FeatureHeads: lossWeights leave no feature to learn from",
  ],
  [
    { featureWidths: { tag: 4 } },
    'EventEmbedding: featureWidths: "tag" is not a feature of this encoder, which has item, genre, rating',
  ],
  [
    { featureWidths: { genre: 0 } },
    "EventEmbedding: featureWidths.genre must be a whole number, at least 1, got 0",
  ],
] as [AutoregressiveOptions, string][])
  test.serial(`refused: ${message}`, (t) => {
    t.throws(() => encoderOf(options), { instanceOf: UsageError, message });
  });

test.serial("refused: batches that lack something, windows that are too long", (t) => {
  using encoder = encoderOf();
  using batch = batchOf(windowsOf([4, 6]));
  const { rating: _, ...inputs } = batch.inputs;
  const { genre: __, ...targets } = batch.targets;
  for (const [given, message] of [
    [
      { ...batch, inputs },
      'EventEmbedding: the batch has no inputs of "rating"; this model reads item, genre, rating',
    ],
    [
      { ...batch, bags: {} },
      'EventEmbedding: the batch has no bags of "genre"; this model reads item, genre, rating',
    ],
    [
      { ...batch, targets },
      'FeatureHeads: the batch has no targets of "genre"; its loader must read the feature, with targets',
    ],
  ] as const)
    t.throws(() => tidy(() => encoder.loss(given)), { instanceOf: UsageError, message });

  using rotary = encoderOf({ positions: "rotary" });
  for (const layout of ["padded", "ragged"] as const) {
    using long = batchOf(windowsOf([3, 11]), { layout });
    t.throws(() => tidy(() => encoder.embed(long)), {
      instanceOf: UsageError,
      message:
        "AutoregressiveEncoder: a window of 10 inputs is longer than the 9 learned positions",
    });
    tidy(() => rotary.embed(long)).dispose();
    using empty = batchOf(windowsOf([3, 1]), { layout });
    t.throws(() => tidy(() => encoder.query(empty)), {
      instanceOf: UsageError,
      message: "window 1 of the batch has no inputs to embed",
    });
  }
});
