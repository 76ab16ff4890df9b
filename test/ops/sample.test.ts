/** Draws: their distribution, their random numbers, and what is refused. */
import test from "ava";
import { NativeError, ShapeError, UsageError } from "../../src/errors.js";
import {
  broadcastTo,
  Generator,
  rand,
  type SampleOptions,
  sample,
  sampleWithLogProbability,
} from "../../src/ops/index.js";
import { type Tensor, tensor } from "../../src/tensor/index.js";
import { left } from "../cases/sample.js";

const logits = [1.5, -0.3, 0.2, 2.1, 2.1, -1, 0.9, -Infinity, 0.4, 1.2, -2.5, 0.2];

const settings: Record<string, SampleOptions> = {
  "no filter": {},
  "a temperature": { temperature: 1.8 },
  "top-k, with ties at its end": { topK: 8 },
  "top-p": { topP: 0.8 },
  "min-p": { minP: 0.2 },
  "all filters": { temperature: 0.8, topK: 9, topP: 0.93, minP: 0.12 },
};

for (const [name, options] of Object.entries(settings))
  test(`draws with ${name} have the probabilities that they should`, async (t) => {
    const count = 60_000;
    const rows = broadcastTo(tensor([logits]), [count, logits.length]);
    const ids = await sample(rows, { ...options, generator: new Generator(21) }).data();
    const counts = new Array<number>(logits.length).fill(0);
    for (const id of ids) counts[id]!++;

    const kept = left(logits, options);
    const total = [...kept.values()].reduce((a, b) => a + b, 0);
    let chiSquare = 0;
    for (const [id, weight] of kept) {
      if (weight === 0) continue;
      const expected = (count * weight) / total;
      t.true(expected > 50);
      chiSquare += (counts[id]! - expected) ** 2 / expected;
      counts[id] = 0;
    }
    t.deepEqual([...new Set(counts)], [0], "classes that the filters do not leave were drawn");
    const freedom = kept.size - 1;
    t.true(chiSquare < freedom + 4 * Math.sqrt(2 * freedom), `chi² ${chiSquare} of ${freedom}`);
  });

test("top-k keeps the ties of its last place, top-p the first of them", async (t) => {
  const drawn = async (options: SampleOptions): Promise<number[]> => {
    const rows = broadcastTo(tensor([[0, 1, 1, 1, -1]]), [2_000, 5]);
    const ids = await sample(rows, { ...options, generator: new Generator(2) }).data();
    return [...new Set(ids)].sort();
  };
  t.deepEqual(await drawn({ topK: 2 }), [1, 2, 3]);
  t.deepEqual(await drawn({ topP: 0.4 }), [1, 2]);
  t.deepEqual(await drawn({ topK: 3, topP: 0.5 }), [1, 2]);
  t.deepEqual(await drawn({ topP: 0 }), [1]);
  t.deepEqual(await drawn({ minP: 1 }), [1, 2, 3]);
  t.deepEqual(await drawn({ temperature: 0 }), [1]);
});

test("row r draws with element r of rand in float64", async (t) => {
  const generator = new Generator(5);
  const uniform = await rand([99], { generator, dtype: "float64" }).data();
  generator.restore({ seed: 5, step: 0, call: 0 });
  const ids = await sample(broadcastTo(tensor([0]), [99, 64]), { generator }).data();
  t.deepEqual(
    [...ids],
    Array.from(uniform, (u) => Math.floor(64 * u)),
  );
  t.is(generator.state().call, 1);
});

test("the log-probability is the model's, whatever temperature and filters", async (t) => {
  const x = tensor([logits]);
  const logSumExp = Math.log(logits.reduce((sum, v) => sum + Math.exp(v), 0));
  for (const options of [{}, { temperature: 0 }, { temperature: 3, topK: 4 }, { topP: 0.5 }]) {
    const { ids, logProbability } = sampleWithLogProbability(x, options);
    t.true(Math.abs((await logProbability.item()) - logits[await ids.item()]! + logSumExp) < 1e-6);
  }
});

test("extreme logits and temperatures are no trouble", async (t) => {
  const draw = async (row: number[], options: SampleOptions): Promise<number> =>
    sample(tensor([row]), { ...options, generator: new Generator(3) }).item();
  const filters: SampleOptions[] = [{}, { topK: 2 }, { topP: 0.5 }, { minP: 0.5 }];
  for (const filter of filters) {
    t.is(await draw([-3e38, 3e38, -3e38], filter), 1);
    t.is(await draw([1, 2, 1], { ...filter, temperature: 1e-30 }), 1);
    t.is(await draw([1, 2, 1], { ...filter, temperature: 1e-300 }), 1);
    t.is(await draw([-Infinity, -1e30, -Infinity], { ...filter, temperature: 1e300 }), 1);
    t.is(await draw([1e-45, 0, -0], { ...filter, temperature: 1e-50 }), 0);
  }
  t.is(await draw([-0, 0, -1], { temperature: 0 }), 0);
});

const failed = { instanceOf: NativeError } as const;

test("a row without a finite largest logit is a fault that names the first", async (t) => {
  const rows = (bad: number[]): Tensor => tensor([[1, 2], bad, [0, 0], bad]);
  for (const bad of [
    [Number.NaN, 1],
    [1, Number.NaN],
    [Infinity, 0],
    [-Infinity, -Infinity],
  ])
    for (const options of [{}, { temperature: 0 }, { topK: 1 }, { topP: 0.5 }])
      await t.throwsAsync(() => sample(rows(bad), options).data(), {
        ...failed,
        message:
          /sample\(logits \[4, 2\].*row 1 of logits has a NaN, or its largest element is not/,
      });
});

test("options out of range are refused", (t) => {
  const x = tensor([[1, 2]]);
  for (const [options, message] of [
    [{ temperature: -1 }, /^sample: temperature must be a number from 0 /],
    [{ temperature: Number.NaN }, /^sample: temperature must be a number from 0 /],
    [{ topK: 0.5 }, /^sample: top_k must be a whole number from 0 /],
    [{ topP: 1.1 }, /^sample: top_p must be a number from 0 to 1, got 1.1/],
    [{ minP: -0.1 }, /^sample: min_p must be a number from 0 to 1, got -0.1/],
  ] as const)
    t.throws(() => sample(x, options), { instanceOf: UsageError, message });
  t.throws(() => sample(tensor([[], []])), {
    instanceOf: ShapeError,
    message: "sample: logits [2, 0] has no classes to draw from",
  });
});
