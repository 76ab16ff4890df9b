/** The sampled softmax is an estimate of the full one. */
import test from "ava";
import fc from "fast-check";
import {
  Generator,
  gradcheck,
  linearCrossEntropy,
  memory,
  rand,
  randn,
  resetPeakMemory,
  type Tensor,
  tensor,
  tidy,
  UsageError,
  valueAndGrad,
} from "../../src/index.js";
import {
  AutoregressiveEncoder,
  type AutoregressiveOptions,
  type DrawnItems,
  NegativeSampler,
  sampledCrossEntropy,
} from "../../src/models/index.js";
import { batchOf, features, inventedEvents, items, uniforms } from "./event-batches.js";

rand([1]).dispose(); // the default generator keeps a tensor

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

const int32 = (values: readonly number[]): Tensor => tensor(Int32Array.from(values));

/** Items as if they had been drawn from these shares. */
const drawnOf = (ids: readonly number[], shares: readonly number[]): DrawnItems => ({
  ids: int32(ids),
  logProbabilities: tensor(ids.map((id) => Math.log(shares[id]!))),
});

/** The estimate by its definition. */
function estimate(
  scores: readonly (readonly number[])[],
  targets: readonly number[],
  drawn: readonly number[],
  shares: readonly number[],
): number {
  return targets.reduce((total, target, i) => {
    if (target < 0) return total;
    const sum = drawn
      .filter((id) => id !== target)
      .reduce((so, id) => so + Math.exp(scores[i]![id]!) / (drawn.length * shares[id]!), 0);
    const own = Math.exp(scores[i]![target]!);
    return total + Math.log((own + sum) / own);
  }, 0);
}

interface Given {
  x: number[][];
  table: number[][];
  targets: number[];
  shares: number[];
  drawn: number[];
}

/** Vectors of three numbers, of a few positions and items; drawn items may be targets, and come twice. */
const given = (): fc.Arbitrary<Given> =>
  fc
    .record({ rows: fc.integer({ min: 1, max: 4 }), count: fc.integer({ min: 2, max: 6 }) })
    .chain(({ rows, count }) => {
      const number = fc.integer({ min: -2000, max: 2000 }).map((n) => n / 1000);
      const vectors = (size: number) =>
        fc.array(fc.array(number, { minLength: 3, maxLength: 3 }), {
          minLength: size,
          maxLength: size,
        });
      return fc.record({
        x: vectors(rows),
        table: vectors(count),
        targets: fc.array(fc.oneof(fc.nat(count - 1), fc.constant(-100)), {
          minLength: rows,
          maxLength: rows,
        }),
        shares: fc
          .array(fc.integer({ min: 1, max: 9 }), { minLength: count, maxLength: count })
          .map((weights) => weights.map((w) => w / weights.reduce((a, b) => a + b))),
        drawn: fc.array(fc.nat(count - 1), { minLength: 1, maxLength: 8 }),
      });
    });

const scoresOf = ({ x, table }: Given): number[][] =>
  x.map((row) => table.map((item) => row.reduce((sum, value, k) => sum + value * item[k]!, 0)));

const float64 = (rows: readonly (readonly number[])[]): Tensor =>
  tensor(Float64Array.from(rows.flat()), { shape: [rows.length, 3] });

/** Logarithms of shares are float32. */
const tolerance = 1e-6;

test.serial("it is its definition; targets that were drawn too are masked", async (t) => {
  await fc.assert(
    fc.asyncProperty(given(), async (case_) => {
      const { x, table, targets, shares, drawn } = case_;
      const loss = tidy(() =>
        sampledCrossEntropy(float64(x), float64(table), int32(targets), drawnOf(drawn, shares)),
      );
      const expected = estimate(scoresOf(case_), targets, drawn, shares);
      t.true(Math.abs((await loss.item()) - expected) < tolerance * (1 + expected));
      loss.dispose();
    }),
    { numRuns: 60 },
  );
});

test.serial("its sum over items has the expectation of the full one", async (t) => {
  await fc.assert(
    fc.asyncProperty(given(), async (case_) => {
      const { shares, table } = case_;
      const [target = 0] = case_.targets.filter((each) => each >= 0);
      const [scores] = scoresOf(case_);
      // Over all that a single draw may give: exp(loss + s_target) is exp s_target and the estimate of the others.
      let expectation = 0;
      for (const [id, share] of shares.entries()) {
        const loss = tidy(() =>
          sampledCrossEntropy(
            float64(case_.x.slice(0, 1)),
            float64(table),
            int32([target]),
            drawnOf([id], shares),
          ),
        );
        expectation +=
          share * (Math.exp((await loss.item()) + scores![target]!) - Math.exp(scores![target]!));
        loss.dispose();
      }
      const others = scores!.reduce((sum, s, j) => sum + (j === target ? 0 : Math.exp(s)), 0);
      t.true(
        Math.abs(expectation - others) < 10 * tolerance * (others + Math.exp(scores![target]!)),
      );
    }),
    { numRuns: 25 },
  );
});

test.serial("with many draws, loss and gradients are those of the full softmax", async (t) => {
  using generator = new Generator(8);
  const draws = 100_000;
  const counts = Float64Array.from({ length: items }, (_, i) => (i % 5 === 0 ? 0 : 3 * i));
  using sampler = new NegativeSampler(counts, { generator });
  using x = randn([4, 3], { generator, std: 0.5, dtype: "float64" });
  using table = randn([items, 3], { generator, std: 0.5, dtype: "float64" });
  using targets = int32([2, -100, 22, 0]);
  const sampled = valueAndGrad([x, table], () =>
    sampledCrossEntropy(x, table, targets, sampler.draw(draws)),
  );
  const full = valueAndGrad([x, table], () =>
    linearCrossEntropy(x, table, targets, { reduction: "sum" }),
  );
  // The standard error of the estimated sum, relative to it, at the worst position.
  const [rows, classes] = [await x.toArray(), await table.toArray()] as [number[][], number[][]];
  const total = counts.reduce((sum, count) => sum + count + 1, 0);
  const spread = Math.max(
    ...rows.map((row) => {
      const terms = classes.map((item) =>
        Math.exp(row.reduce((sum, v, k) => sum + v * item[k]!, 0)),
      );
      const mean = terms.reduce((a, b) => a + b);
      const square = terms.reduce(
        (sum, term, j) => sum + term ** 2 / ((counts[j]! + 1) / total),
        0,
      );
      return Math.sqrt((square - mean ** 2) / draws) / mean;
    }),
  );
  t.true(spread < 0.02, `${spread}: the test can tell`);
  t.true(Math.abs((await sampled.loss.item()) - (await full.loss.item())) < 3 * 5 * spread);
  for (const leaf of [x, table]) {
    const [ours, theirs] = [
      await sampled.gradients.get(leaf)!.dataAs("float64"),
      await full.gradients.get(leaf)!.dataAs("float64"),
    ];
    const most = theirs.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    t.true(
      ours.every((value, i) => Math.abs(value - theirs[i]!) < 10 * spread * Math.max(1, most)),
    );
  }
  for (const { loss, gradients } of [sampled, full])
    for (const each of [loss, ...gradients.values()]) each.dispose();
});

test.serial("its gradient is that of central differences", async (t) => {
  using generator = new Generator(2);
  using x = randn([3, 3], { generator, dtype: "float64" });
  using table = randn([5, 3], { generator, dtype: "float64" });
  using targets = int32([4, -100, 1]);
  const drawn = drawnOf([1, 0, 1, 3], [0.1, 0.2, 0.3, 0.2, 0.2]);
  const result = await gradcheck((a, b) => sampledCrossEntropy(a, b, targets, drawn), [x, table]);
  t.true(result.passed, JSON.stringify(result.worst));
  drawn.ids.dispose();
  drawn.logProbabilities.dispose();
});

for (const exponent of [0, 0.75, 1])
  test.serial(`items are drawn by their targets to the power ${exponent}`, async (t) => {
    using generator = new Generator(1);
    const counts = Float64Array.of(0, 1, 3, 99, 9, 0, 30);
    const weights = counts.map((count) => (count + 1) ** exponent);
    const total = weights.reduce((a, b) => a + b);
    using sampler = new NegativeSampler(counts, { exponent, generator });
    const draws = 60_000;
    const { ids, logProbabilities } = tidy(() => sampler.draw(draws));
    const seen = new Float64Array(counts.length);
    const [drawn, logs] = [await ids.dataAs("int32"), await logProbabilities.dataAs("float32")];
    drawn.forEach((id, i) => {
      seen[id]! += 1;
      if (i < 100) t.true(Math.abs(logs[i]! - Math.log(weights[id]! / total)) < 1e-6);
    });
    for (const [id, weight] of weights.entries()) {
      const expected = (draws * weight) / total;
      t.true(Math.abs(seen[id]! - expected) < 5 * Math.sqrt(expected), `${id}: ${seen[id]}`);
    }
    ids.dispose();
    logProbabilities.dispose();
  });

const itemTargets = Float64Array.from({ length: items }, (_, i) => i);

function encoderOf(options: AutoregressiveOptions, trained = true): AutoregressiveEncoder {
  const sizes = { width: 8, heads: 2, layers: 1, dropout: 0 } as const;
  return new AutoregressiveEncoder(
    { features, length: 6 },
    { ...sizes, ...options },
    trained ? { itemTargets, itemValues: {} } : undefined,
  );
}

test.serial("an encoder samples while it trains; its generator's state repeats it", async (t) => {
  using generator = new Generator(5);
  using encoder = encoderOf({ generator, sampledSoftmax: { negatives: 4 } });
  using twin = encoderOf({});
  twin.loadStateDict(encoder.stateDict());
  using batch = batchOf([inventedEvents(6, uniforms(1)), inventedEvents(3, uniforms(2))]);
  const lossOf = async (of: AutoregressiveEncoder): Promise<number> => {
    const loss = tidy(() => of.loss(batch).parts.item!);
    const value = await loss.item();
    loss.dispose();
    return value;
  };
  const state = generator.state();
  const losses = [await lossOf(encoder), await lossOf(encoder)];
  t.not(losses[0], losses[1], "other items are drawn");
  generator.restore(state);
  t.deepEqual([await lossOf(encoder), await lossOf(encoder)], losses);
  t.not(await lossOf(twin), losses[0]);
  encoder.eval();
  t.is(await lossOf(encoder), await lossOf(twin), "the full softmax");
});

test.serial("no matrix of positions and items is made", async (t) => {
  const many = 60_000;
  using encoder = new AutoregressiveEncoder(
    { features: [{ name: "item", bag: false, size: many, of: "event" }], length: 8 },
    { width: 4, heads: 1, layers: 1, sampledSoftmax: { negatives: 16 } },
    { itemTargets: new Float64Array(many), itemValues: {} },
  );
  using batch = batchOf(Array.from({ length: 25 }, (_, i) => inventedEvents(9, uniforms(i))));
  const { bytes } = memory();
  resetPeakMemory();
  const { loss, gradients, parts } = valueAndGrad(encoder.trainable(), () => encoder.loss(batch));
  await loss.item();
  t.true(memory().peakBytes - bytes < (200 * many * 4) / 4);
  for (const each of [loss, ...gradients.values(), ...Object.values(parts)]) each.dispose();
});

test.serial("refused: what a sampled softmax cannot do", (t) => {
  const sampledSoftmax = { negatives: 4 };
  using untrained = encoderOf({ sampledSoftmax }, false);
  using batch = batchOf([inventedEvents(3, uniforms(1))]);
  t.throws(() => tidy(() => untrained.loss(batch)), {
    instanceOf: UsageError,
    message:
      "AutoregressiveEncoder: sampledSoftmax needs the training data in the constructor, to draw items from",
  });
  for (const [options, message] of [
    [{ sampledSoftmax, labelSmoothing: 0.1 }, /labelSmoothing needs all items/],
    [{ sampledSoftmax: { negatives: 0 } }, /sampledSoftmax.negatives must be a whole number/],
  ] as const)
    t.throws(() => encoderOf(options), { instanceOf: UsageError, message });
  for (const [counts, exponent, message] of [
    [Float64Array.of(), 1, /a count for each item/],
    [Float64Array.of(1, -1), 1, /a count for each item/],
    [Float64Array.of(1, 2), -1, /exponent must be a number from 0 on/],
  ] as const)
    t.throws(() => new NegativeSampler(counts, { exponent }), { instanceOf: UsageError, message });
});
