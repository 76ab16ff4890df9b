import test from "ava";
import fc from "fast-check";
import type { Batch, BatchLayout } from "../../src/data/index.js";
import {
  AdamW,
  Generator,
  memory,
  noGrad,
  openSafetensors,
  rand,
  rankOfTargets,
  seed,
  type Tensor,
  tensor,
  tidy,
  UsageError,
  valueAndGrad,
} from "../../src/index.js";
import { type Cloze, hideLast, hideSome, sequencesOf } from "../../src/models/encoders/cloze.js";
import {
  Bert4RecEncoder,
  type Bert4RecOptions,
  type ClozeOptions,
  type EncoderData,
} from "../../src/models/index.js";
import { distance, tolerance } from "../nn/distance.js";
import { batchOf, type HandEvent, handData } from "./histories.js";

// The default generator keeps a tensor for its seed, which is the same in all tests.
const restart = () => seed(2);
restart();
rand([1]).dispose();

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

const layouts: readonly BatchLayout[] = ["padded", "ragged"];
const small = { layers: 2, width: 8, heads: 2, dropout: 0 } as const;

const event = (item: number, rating: number, genres: readonly number[]): HandEvent => ({
  item,
  rating,
  genres,
});

/** The histories and hidden events of scripts/goldens-bert4rec.py. */
const goldenWindows = [
  [
    event(3, 0, [1]),
    event(7, -1, [0, 2]),
    event(1, 4, []),
    event(12, 2, [3]),
    event(0, 1, [1, 2, 3]),
    event(5, 3, [0]),
  ],
  [event(9, 2, [2]), event(4, 0, []), event(11, -1, [0, 1])],
];

function goldenCloze(batch: Batch): Cloze {
  const { rows: known, ...asked } = sequencesOf(batch, { length: 6, asked: true });
  const { positions } = asked;
  const rows = known.slice();
  rows[1] = positions; // the mask
  rows[3] = positions + 1; // item 6
  rows[6] = positions;
  const last = (end: number) => positions + known[end - 2]!;
  return {
    ...asked,
    rows,
    hidden: Int32Array.of(1, 3, 4, 5, 6, 8),
    answers: Int32Array.of(known[1]!, known[3]!, known[4]!, last(6), known[6]!, last(9)),
    replacements: Int32Array.of(6),
  };
}

async function openGolden(): Promise<Map<string, Tensor>> {
  const file = await openSafetensors(
    new URL("../golden/models/bert4rec.safetensors", import.meta.url).pathname,
  );
  const tensors = await file.readAll();
  await file.close();
  return tensors;
}

const under = (tensors: ReadonlyMap<string, Tensor>, prefix: string): Map<string, Tensor> =>
  new Map(
    [...tensors]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length), value]),
  );

for (const layout of layouts)
  test.serial(`${layout}: equals PyTorch, and so do three training steps`, async (t) => {
    const golden = await openGolden();
    using encoder = new Bert4RecEncoder(handData(6), {
      ...small,
      featureWidths: { rating: 3, genres: 3 },
    });
    encoder.loadStateDict(under(golden, "parameter."));
    const made = tidy(() => {
      const batch = batchOf(goldenWindows, { layout, length: 6 });
      const real = batchOf(goldenWindows, { layout: "ragged" });
      return {
        embed: encoder.embed(real),
        query: encoder.query(batch),
        ...valueAndGrad(encoder.trainable(), () => encoder.lossOf(batch, goldenCloze(batch))),
      };
    });
    t.true((await distance(made.embed, golden.get("embed")!)) < tolerance);
    t.true((await distance(made.query, golden.get("query")!)) < tolerance);
    t.is(made.count, 6);
    const size = (values: Float32Array) => Math.max(...values.map(Math.abs));
    for (const [path, parameter] of encoder.namedParameters()) {
      const [ours, theirs] = [made.gradients.get(parameter)!, golden.get(`grad.${path}`)!];
      t.true((await distance(ours, theirs)) < 2 * tolerance, path);
    }
    for (const tensor of [made.embed, made.query, made.loss, ...made.gradients.values()])
      tensor.dispose();

    using optimizer = new AdamW(encoder.trainable(), { learningRate: 1e-2, weightDecay: 0.1 });
    for (const expected of await golden.get("losses")!.dataAs("float32")) {
      const loss = tidy(() => {
        const batch = batchOf(goldenWindows, { layout, length: 6 });
        const { loss, gradients } = valueAndGrad(encoder.trainable(), () =>
          encoder.lossOf(batch, goldenCloze(batch)),
        );
        optimizer.step(gradients);
        return loss;
      });
      t.true(Math.abs((await loss.item()) - expected) < 2 * tolerance * expected);
      loss.dispose();
    }
    // Adam divides a gradient by its size: where that is hardly more than rounding, so is the step. The others agree.
    for (const [path, value] of under(golden, "trained.")) {
      const [ours, theirs, gradient] = await Promise.all(
        [encoder.stateDict().get(path)!, value, golden.get(`grad.${path}`)!].map((x) =>
          x.dataAs("float32"),
        ),
      );
      const compared = [...ours!.keys()].filter(
        (i) => Math.abs(gradient![i]!) > 0.1 * size(gradient!),
      );
      for (const i of compared) t.true(Math.abs(ours![i]! - theirs![i]!) < 1e-4, `${path} ${i}`);
    }
    for (const tensor of golden.values()) tensor.dispose();
  });

/** As many windows of as many inputs, without tensors. */
const asked = (windows: number, inputs: number) =>
  sequencesOf(
    {
      ...{ layout: "ragged", size: windows, inputs: {} },
      extents: Int32Array.from({ length: windows + 1 }, (_, i) => i * inputs),
    },
    { length: inputs, asked: true },
  );

/** Whether `hits` of `trials` are what a probability lets one expect: within five standard deviations. */
const likely = (hits: number, trials: number, probability: number): boolean =>
  Math.abs(hits - trials * probability) <=
  5 * Math.sqrt(trials * probability * (1 - probability)) + 1e-9;

for (const { maskProbability, lastOnly } of [
  { maskProbability: 0.2, lastOnly: 0.1 },
  { maskProbability: 0.6, lastOnly: 0 },
  { maskProbability: 1, lastOnly: 0.5 },
  { maskProbability: 0.3, lastOnly: 1 },
])
  test.serial(
    `hides ${maskProbability} of the inputs, for ${lastOnly} of the windows none`,
    (t) => {
      const [windows, inputs] = [4000, 20];
      const sequences = asked(windows, inputs);
      const cloze = hideSome(sequences, 50, { maskProbability, lastOnly }, new Generator(3));
      const hiddenInputs = new Int32Array(windows);
      let lasts = 0;
      for (const at of cloze.hidden)
        if (cloze.places[at] === 0) lasts++;
        else hiddenInputs[Math.floor(at / (inputs + 1))]!++;
      t.is(lasts, windows);
      const total = hiddenInputs.reduce((sum, count) => sum + count, 0);
      // Of a window's inputs all depend on one choice more.
      const share = (1 - lastOnly) * maskProbability;
      const spread = Math.sqrt(
        windows *
          ((1 - lastOnly) * inputs * maskProbability * (1 - maskProbability) +
            lastOnly * (1 - lastOnly) * (inputs * maskProbability) ** 2),
      );
      t.true(Math.abs(total - windows * inputs * share) <= 5 * spread, `${total}`);
      const none = hiddenInputs.filter((count) => count === 0).length;
      t.true(likely(none, windows, lastOnly + (1 - lastOnly) * (1 - maskProbability) ** inputs));
      t.true(cloze.hidden.every((at) => cloze.rows[at] === sequences.positions));
      t.is(cloze.replacements.length, 0);
      // What is not hidden stands where it stood.
      const hidden = new Set(cloze.hidden);
      t.true(cloze.rows.every((row, at) => hidden.has(at) || row === sequences.rows[at]));
    },
  );

test.serial("bert: eight of ten are masked, one is a random item, one stays", (t) => {
  const sequences = asked(2000, 20);
  const items = 7;
  const { hidden, rows, replacements, places, answers, positions } = hideSome(
    sequences,
    items,
    { maskProbability: 0.5, lastOnly: 0, replacement: "bert" },
    new Generator(4),
  );
  const inputs = hidden.filter((at) => places[at]! > 0);
  const count = (is: (at: number) => boolean) => inputs.filter(is).length;
  t.true(
    likely(
      count((at) => rows[at] === positions),
      inputs.length,
      0.8,
    ),
  );
  t.true(
    likely(
      count((at) => rows[at]! > positions),
      inputs.length,
      0.1,
    ),
  );
  t.true(
    likely(
      count((at) => rows[at] === sequences.rows[at]),
      inputs.length,
      0.1,
    ),
  );
  t.is(
    count((at) => rows[at]! > positions),
    replacements.length,
  );
  t.deepEqual(
    [...hidden].filter((at) => rows[at]! > positions).map((at) => rows[at]! - positions - 1),
    [...replacements.keys()],
  );
  for (let item = 0; item < items; item++)
    t.true(likely(replacements.filter((it) => it === item).length, replacements.length, 1 / items));
  t.true(
    hidden.every(
      (at, i) =>
        answers[i] === (places[at]! > 0 ? sequences.rows[at] : positions + sequences.rows[at - 1]!),
    ),
  );
});

test.serial("what is hidden follows from the generator's state, and from nothing else", (t) => {
  const options: ClozeOptions = { replacement: "bert" };
  const generator = new Generator(5);
  const draw = () => hideSome(asked(9, 6), 13, options, generator);
  draw();
  const state = generator.state();
  const first = draw();
  t.notDeepEqual(draw(), first);
  generator.restore(state);
  t.deepEqual(draw(), first);
  generator.restore({ ...state, step: 1 });
  t.notDeepEqual(draw(), first);
  generator.restore({ ...state, seed: 6 });
  t.notDeepEqual(draw(), first);
});

const anyEvent: fc.Arbitrary<HandEvent> = fc.record({
  item: fc.nat(12),
  rating: fc.integer({ min: -1, max: 4 }),
  genres: fc.subarray([0, 1, 2, 3], { maxLength: 3 }),
});
const anyWindow = fc.array(anyEvent, { minLength: 2, maxLength: 7 });
const anyWindows = fc.array(anyWindow, { minLength: 1, maxLength: 5 });

/** Runs `body` and reads what it returns; nothing is left. */
async function read(body: () => readonly Tensor[]): Promise<Float32Array[]> {
  const tensors = tidy(() => noGrad(() => body()));
  const values = await Promise.all(tensors.map((each) => each.dataAs("float32")));
  for (const each of tensors) each.dispose();
  return values;
}

function madeFor(options: Bert4RecOptions = {}): Bert4RecEncoder {
  restart();
  const encoder = new Bert4RecEncoder(handData(6), { ...small, ...options });
  // Larger weights than the initial ones, so that everything matters visibly.
  encoder.loadStateDict(
    new Map(
      [...encoder.stateDict()].map(([path, value]) => [
        path,
        rand(value.shape, { low: -1, high: 1 }),
      ]),
    ),
  );
  return encoder;
}

test.serial("layouts are equal to the bit, padding is unseen", async (t) => {
  using encoder = tidy(() => madeFor({ replacement: "bert", lastOnly: 0.3, maskProbability: 0.5 }));
  await fc.assert(
    fc.asyncProperty(
      anyWindows,
      fc.integer({ min: 6, max: 8 }),
      fc.nat(3),
      async (windows, length, padding) => {
        const made = (batch: Batch): Tensor[] => {
          restart();
          return [encoder.loss(batch).loss, encoder.query(batch), encoder.embed(batch)];
        };
        const [loss, query, embed] = await read(() =>
          made(batchOf(windows, { layout: "padded", length, padding })),
        );
        const [raggedLoss, raggedQuery, raggedEmbed] = await read(() =>
          made(batchOf(windows, { layout: "ragged" })),
        );
        t.deepEqual(raggedLoss, loss);
        t.deepEqual(raggedQuery, query);
        const real = windows.flatMap((events, i) =>
          events
            .slice(1)
            .flatMap((_, at) => [
              ...embed!.subarray((i * length + at) * 8, (i * length + at + 1) * 8),
            ]),
        );
        t.deepEqual([...raggedEmbed!], real);
        const behind = windows.flatMap((events, i) => [
          ...embed!.subarray((i * length + events.length - 1) * 8, (i + 1) * length * 8),
        ]);
        t.true(behind.every((value) => value === 0));
      },
    ),
    { numRuns: 40 },
  );
});

test.serial("a window's neighbours do not matter", async (t) => {
  using encoder = tidy(() => madeFor());
  encoder.eval();
  await fc.assert(
    fc.asyncProperty(anyWindows, fc.constantFrom(...layouts), async (windows, layout) => {
      const made = (some: typeof windows) =>
        read(() => {
          const batch = batchOf(some, { layout, length: 6 });
          return [encoder.query(batch), encoder.embed(batch), encoder.loss(batch).loss];
        });
      const together = await made(windows);
      const alone = await Promise.all(windows.map((window) => made([window])));
      const close = (a: readonly number[], b: readonly number[]) =>
        a.length === b.length && a.every((x, i) => Math.abs(x - b[i]!) < 1e-5);
      for (const output of [0, 1])
        t.true(
          close(
            [...together[output]!],
            alone.flatMap((each) => [...each[output]!]),
          ),
        );
      const mean = alone.reduce((sum, each) => sum + each[2]![0]!, 0) / windows.length;
      t.true(Math.abs(together[2]![0]! - mean) < 1e-5 * Math.max(1, mean));
    }),
    { numRuns: 40 },
  );
});

test.serial("a hidden event is not seen, with none of its features; others are", async (t) => {
  using encoder = tidy(() => madeFor());
  /** The loss of `hidden` with the item of the event `witness` as its answer. */
  const lossAt = async (window: readonly HandEvent[], hidden: number, witness: number) => {
    const [loss] = await read(() => {
      const batch = batchOf([window], { layout: "ragged" });
      const cloze = hideLast(sequencesOf(batch, { length: 6, asked: true }));
      const { positions } = cloze;
      const rows = cloze.rows.slice();
      rows[hidden] = positions;
      const answers = Int32Array.of(witness);
      return [
        encoder.lossOf(batch, { ...cloze, rows, hidden: Int32Array.of(hidden), answers }).loss,
      ];
    });
    return loss![0]!;
  };
  const cases = fc.array(anyEvent, { minLength: 4, maxLength: 7 }).chain((window) =>
    fc.record({
      window: fc.constant(window),
      hidden: fc.nat(window.length - 2),
      other: anyEvent,
    }),
  );
  await fc.assert(
    fc.asyncProperty(cases, async ({ window, hidden, other }) => {
      const witness = hidden === 0 ? 1 : 0;
      const seen = [0, 1, 2].find((at) => at !== hidden && at !== witness)!;
      const expected = await lossAt(window, hidden, witness);
      t.is(await lossAt(window.with(hidden, other), hidden, witness), expected);
      t.is(await lossAt(window.with(-1, other), hidden, witness), expected, "the target");
      const { item, rating, genres } = window[seen]!;
      for (const changed of [
        event((item + 1) % 13, rating, genres),
        event(item, rating < 4 ? rating + 1 : 0, genres),
        event(item, rating, genres.length > 0 ? [] : [1]),
      ])
        if (seen < window.length - 1)
          t.not(await lossAt(window.with(seen, changed), hidden, witness), expected);
    }),
    { numRuns: 30 },
  );
});

test.serial("evaluation asks for the last event alone, the same each time", async (t) => {
  using encoder = tidy(() => madeFor({ dropout: 0.5 }));
  encoder.eval();
  const measure = () =>
    read(() => {
      const batch = batchOf(goldenWindows, { layout: "padded" });
      const { loss, count, parts } = encoder.loss(batch);
      t.is(count, 2);
      t.deepEqual(Object.keys(parts), ["item"]);
      const { weight, bias } = encoder.itemTable();
      return [loss, encoder.query(batch), weight.add(0), bias!.add(0)];
    });
  const [loss, query, weight, bias] = await measure();
  t.deepEqual((await measure())[0], loss);
  const losses = [5, 11].map((target, i) => {
    const scores = Array.from(bias!, (start, item) =>
      Array.from({ length: 8 }, (_, k) => query![i * 8 + k]! * weight![item * 8 + k]!).reduce(
        (a, b) => a + b,
        start,
      ),
    );
    const most = Math.max(...scores);
    return (
      most +
      Math.log(scores.reduce((sum, score) => sum + Math.exp(score - most), 0)) -
      scores[target]!
    );
  });
  t.true(Math.abs(loss![0]! - (losses[0]! + losses[1]!) / 2) < 1e-5);
});

const itemOnly = (length: number): EncoderData => ({
  features: [{ name: "item", bag: false, size: 13, of: "event" }],
  length,
});

test.serial("training goes on from the generators' states to the bit", async (t) => {
  const run = async (
    steps: number,
    start?: { state: Map<string, Tensor>; at: ReturnType<Generator["state"]> },
  ) => {
    const generator = new Generator(9);
    using encoder = new Bert4RecEncoder(itemOnly(6), {
      ...small,
      dropout: 0.2,
      replacement: "bert",
      generator,
    });
    if (start) {
      encoder.loadStateDict(start.state);
      generator.restore(start.at);
    }
    for (let step = 0; step < steps; step++)
      tidy(() => {
        const batch = batchOf(goldenWindows, { layout: "padded" });
        const { gradients } = valueAndGrad(encoder.trainable(), () => encoder.loss(batch));
        for (const [parameter, gradient] of gradients)
          parameter.assign(parameter.value.subtract(gradient.multiply(0.1)));
      });
    const state = new Map([...encoder.stateDict()].map(([path, value]) => [path, value.add(0)]));
    const values = await Promise.all([...state.values()].map((value) => value.dataAs("float32")));
    const at = generator.state();
    generator.dispose();
    return { state, values, at };
  };
  const whole = await run(4);
  const half = await run(2);
  const resumed = await run(2, half);
  t.deepEqual(resumed.values, whole.values);
  t.notDeepEqual(half.values, whole.values);
  for (const { state } of [whole, half, resumed])
    for (const value of state.values()) value.dispose();
});

for (const head of ["transform", "tied"] as const)
  test.serial(`${head}: a tiny set is learnt by heart`, async (t) => {
    restart();
    // Walks of five events over the items that each begin elsewhere and have a stride of their own.
    const windows = Array.from({ length: 12 }, (_, user) =>
      Array.from({ length: 6 }, (_, i) => event((user + (1 + (user % 4)) * i) % 13, 0, [])),
    );
    using encoder = new Bert4RecEncoder(itemOnly(5), { ...small, width: 16, head });
    using optimizer = new AdamW(encoder.trainable(), { learningRate: 1e-2 });
    t.is(encoder.head === undefined, head === "tied");
    const ranks = async (): Promise<number[]> => {
      encoder.eval();
      const ranked = tidy(() => {
        const { weight, ...table } = encoder.itemTable();
        const targets = tensor(Int32Array.from(windows, (events) => events.at(-1)!.item));
        return rankOfTargets(
          encoder.query(batchOf(windows, { layout: "padded" })),
          weight,
          targets,
          table,
        );
      });
      encoder.train();
      const values = [...(await ranked.dataAs("int32"))];
      ranked.dispose();
      return values;
    };
    t.true((await ranks()).some((rank) => rank > 1));
    for (let step = 0; step < 250; step++)
      tidy(() => {
        const batch = batchOf(windows, { layout: "ragged" });
        const { gradients } = valueAndGrad(encoder.trainable(), () => encoder.loss(batch));
        optimizer.step(gradients, { clipNorm: 1 });
      });
    t.deepEqual(
      await ranks(),
      windows.map(() => 1),
    );
  });

test.serial("bfloat16 stays near float32", async (t) => {
  const made = (precision: "float32" | "bfloat16") => {
    using encoder = tidy(() => madeFor({ precision }));
    return read(() => {
      restart();
      const batch = batchOf(goldenWindows, { layout: "padded" });
      return [encoder.loss(batch).loss, encoder.query(batch)];
    });
  };
  const [[loss, query], [roughLoss, roughQuery]] = [await made("float32"), await made("bfloat16")];
  t.not(roughLoss![0], loss![0]);
  t.true(Math.abs(roughLoss![0]! - loss![0]!) < 0.05 * loss![0]!);
  t.true(query!.every((value, i) => Math.abs(value - roughQuery![i]!) < 0.3));
});

test.serial("a history of nothing is asked about, too", async (t) => {
  using encoder = tidy(() => madeFor());
  const [empty] = await read(() => [
    encoder.query({
      ...batchOf([[event(1, 1, []), event(2, 1, [])]], { layout: "padded" }),
      extents: Int32Array.of(0),
    }),
  ]);
  t.true(empty!.every(Number.isFinite));
});

for (const [options, message] of [
  [{ layers: 0 }, "BERT4Rec: layers must be a whole number, at least 1, got 0"],
  [{ maskProbability: 0 }, "BERT4Rec: maskProbability must be above 0 and at most 1, got 0"],
  [{ maskProbability: 1.5 }, "BERT4Rec: maskProbability must be above 0 and at most 1, got 1.5"],
  [{ lastOnly: -1 }, "BERT4Rec: lastOnly must be from 0 to 1, got -1"],
  [{ replacement: "random" }, 'BERT4Rec: replacement must be "mask" or "bert", got "random"'],
  [{ head: "none" }, 'BERT4Rec: head must be "transform" or "tied", got "none"'],
] as [Bert4RecOptions, string][])
  test.serial(`refused: ${message}`, (t) => {
    t.throws(() => new Bert4RecEncoder(handData(6), { ...small, ...options }), {
      instanceOf: UsageError,
      message,
    });
  });

test.serial("refused: windows that are too long, a loss without targets", (t) => {
  using encoder = new Bert4RecEncoder(handData(2), small);
  for (const layout of layouts)
    tidy(() => {
      const batch = batchOf(goldenWindows, { layout });
      for (const use of ["embed", "query", "loss"] as const)
        t.throws(() => encoder[use](batch), {
          instanceOf: UsageError,
          message: "BERT4Rec: a window has 5 inputs, the encoder was made for 2 at most",
        });
      const known = goldenWindows.map((events) => events.slice(-2));
      const mute = { ...batchOf(known, { layout }), targets: {} };
      t.throws(() => encoder.loss(mute), {
        instanceOf: UsageError,
        message: "BERT4Rec: a loss needs batches with targets",
      });
    });
});
