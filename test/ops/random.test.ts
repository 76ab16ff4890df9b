/** Random numbers: the published vectors, exact bits, statistics, resuming, and independence of the threads. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import { grad } from "../../src/autograd/value-and-grad.js";
import {
  dropout,
  Generator,
  type GeneratorState,
  ones,
  rand,
  randint,
  randn,
  sum,
  truncatedNormal,
} from "../../src/ops/index.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { philox, words } from "../cases/random.js";

const hex = (numbers: ArrayLike<number>): string =>
  Array.from(numbers, (n) => (n >>> 0).toString(16).padStart(8, "0")).join(" ");

/** All 32 bits of each word of a call. */
const bits = (count: number, generator: Generator): Tensor =>
  randint(-(2 ** 31), 2 ** 31, [count], { generator });

const wordsOf = async (tensor: Tensor): Promise<number[]> =>
  Array.from(await tensor.data(), (value) => value + 2 ** 31);

test("the tests' Philox gives the published numbers", (t) => {
  const ones = 0xffffffff;
  t.is(hex(philox([0, 0, 0, 0], [0, 0])), "6627e8d5 e169c58d bc57ac4c 9b00dbd8");
  t.is(hex(philox([ones, ones, ones, ones], [ones, ones])), "408f276d 41c83b0e a20bc7c6 6d5451fd");
  t.is(
    hex(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])),
    "d16cfe09 94fdcceb 5001e420 24126ea1",
  );
});

test("the ops use its bits, of every seed, step and call", async (t) => {
  t.is(hex(await wordsOf(bits(4, new Generator(0)))), "6627e8d5 e169c58d bc57ac4c 9b00dbd8");
  const states: GeneratorState[] = [
    { seed: 1, step: 0, call: 0 },
    { seed: 2 ** 53 - 1, step: 0, call: 7 },
    { seed: 2 ** 31, step: 0, call: 2 ** 40 + 3 },
    { seed: 5, step: 2 ** 35 + 1, call: 2 },
  ];
  const generator = new Generator();
  for (const state of states) {
    generator.restore(state);
    const { seed, step, call } = state;
    t.is(hex(await wordsOf(bits(1003, generator))), hex(words(1003, call, seed, step)));
    t.is(generator.state().call, call + 1);
  }
});

test("float64 uniforms have 53 bits", async (t) => {
  const values = await rand([33], { generator: new Generator(3), dtype: "float64" }).data();
  const word = words(66, 0, 3);
  values.forEach((value, i) => {
    const low = BigInt(word[2 * i]!);
    const high = BigInt(word[2 * i + 1]!);
    t.is(value, Number(((high << 32n) | low) >> 11n) / 2 ** 53);
  });
});

/** Mean, standard deviation, skewness, kurtosis. */
function moments(values: ArrayLike<number>) {
  const n = values.length;
  const average = (of: (value: number) => number) =>
    (Array.prototype.reduce.call(
      values,
      (total, value) => (total as number) + of(value),
      0,
    ) as number) / n;
  const mean = average((value) => value);
  const deviation = Math.sqrt(average((value) => (value - mean) ** 2));
  return {
    mean,
    deviation,
    skewness: average((value) => ((value - mean) / deviation) ** 3),
    kurtosis: average((value) => ((value - mean) / deviation) ** 4),
  };
}

const count = 1 << 18;
/** Five standard errors of a mean of `count` numbers with this standard deviation. */
const margin = (deviation: number): number => (5 * deviation) / Math.sqrt(count);

test("rand is uniform and below its upper end", async (t) => {
  for (const dtype of ["float32", "float64"] as const) {
    const values = await rand([count], {
      generator: new Generator(11),
      dtype,
      low: 1,
      high: 3,
    }).data();
    t.true(values.every((value) => value >= 1 && value < 3));
    const { mean, deviation } = moments(values);
    t.true(Math.abs(mean - 2) < margin(2 / Math.sqrt(12)));
    t.true(Math.abs(deviation - 2 / Math.sqrt(12)) < margin(1));
    const bins = new Array<number>(64).fill(0);
    for (const value of values) bins[Math.floor((value - 1) * 32)]!++;
    const chiSquare = bins.reduce((total, n) => total + (n - count / 64) ** 2 / (count / 64), 0);
    t.true(chiSquare < 63 + 5 * Math.sqrt(2 * 63), `chi² ${chiSquare} of 63 degrees of freedom`);
  }
  const narrow = await rand([4096], {
    generator: new Generator(1),
    low: 1,
    high: 1 + 2 ** -23,
  }).data();
  t.true(narrow.every((value) => value === 1));
});

test("randn is normal", async (t) => {
  const values = await randn([count], { generator: new Generator(12), mean: -1, std: 2 }).data();
  const { mean, deviation, skewness, kurtosis } = moments(values);
  t.true(Math.abs(mean + 1) < margin(2));
  t.true(Math.abs(deviation - 2) < margin(2 / Math.SQRT2));
  t.true(Math.abs(skewness) < margin(Math.sqrt(6)));
  t.true(Math.abs(kurtosis - 3) < margin(Math.sqrt(24)));
  const beyond = values.filter((value) => Math.abs(value + 1) > 4).length / count;
  t.true(Math.abs(beyond - 0.0455) < margin(Math.sqrt(0.0455)));

  let correlation = 0;
  for (let i = 1; i < count; i++)
    correlation += ((values[i]! + 1) * (values[i - 1]! + 1)) / 4 / count;
  t.true(Math.abs(correlation) < margin(1));
});

test("float32 and float64 normals are the same numbers", async (t) => {
  const single = await randn([1001], { generator: new Generator(5) }).data();
  const double = await randn([1001], { generator: new Generator(5), dtype: "float64" }).data();
  t.deepEqual(single, Float32Array.from(double));
});

test("truncatedNormal keeps within its bounds, wherever they are", async (t) => {
  const generator = new Generator(13);
  const near = await truncatedNormal([count], { generator, std: 0.5 }).data();
  t.true(near.every((value) => Math.abs(value) <= 1));
  const { mean, deviation } = moments(near);
  t.true(Math.abs(mean) < margin(0.5));
  t.true(Math.abs(deviation - 0.5 * 0.87962566) < margin(0.5));

  const dtype = "float64";
  const tail = await truncatedNormal([count], { generator, dtype, low: 8, high: Infinity }).data();
  t.true(tail.every((value) => value >= 8 && value < 13));
  t.true(Math.abs(moments(tail).mean - 8.12136811) < margin(0.12));
});

test("randint covers its range evenly", async (t) => {
  const values = await randint(-3, 4, [count], { generator: new Generator(14) }).data();
  const bins = new Array<number>(7).fill(0);
  for (const value of values) bins[value + 3]!++;
  for (const n of bins) t.true(Math.abs(n / count - 1 / 7) < margin(Math.sqrt(1 / 7)));
});

test("dropout keeps the expectation, and its gradient has its mask", async (t) => {
  const generator = new Generator(15);
  for (const p of [0.1, 0.5, 0.9]) {
    const x = ones([count]);
    const state = generator.state();
    const result = await dropout(x, p, { generator }).data();
    const kept = result.filter((value) => value !== 0);
    t.true(kept.every((value) => value === Math.fround(1 / (1 - p))));
    t.true(Math.abs(kept.length / count - (1 - p)) < margin(Math.sqrt(p * (1 - p))));

    generator.restore(state);
    const gradients = grad([x], () => sum(dropout(x, p, { generator })));
    t.deepEqual(await gradients.get(x)!.data(), result);
  }
});

test("without training, or for p = 0, dropout is the identity and draws nothing", async (t) => {
  const generator = new Generator(1);
  const x = ones([3]);
  for (const result of [
    dropout(x, 0, { generator }),
    dropout(x, 0.5, { generator, training: false }),
  ])
    t.deepEqual(await result.data(), await x.data());
  t.is(generator.state().call, 0);
  t.throws(() => dropout(x, 1), { message: "dropout: p must be in [0, 1), got 1" });
});

test("a generator that is first used in a scope outlives it", async (t) => {
  const generator = new Generator(3);
  const x = ones([8]);
  const draw = () =>
    grad([x], () => sum(dropout(x, 0.5, { generator })))
      .get(x)!
      .data();
  await draw();
  await t.notThrowsAsync(draw());
});

test("calls differ, and a restored generator repeats them", async (t) => {
  const generator = new Generator(9);
  const first = await randn([50], { generator }).data();
  const state = JSON.parse(JSON.stringify(generator.state())) as GeneratorState;
  const second = await randn([50], { generator }).data();
  t.notDeepEqual(first, second);
  generator.restore(state);
  t.deepEqual(await randn([50], { generator }).data(), second);

  const elsewhere = new Generator();
  elsewhere.restore(state);
  t.deepEqual(await randn([50], { generator: elsewhere }).data(), second);
  t.throws(() => new Generator(-1), { message: /seed must be a whole number/ });
});

test("forks are generators of their own, the same in every run", async (t) => {
  const [a, b] = [new Generator(4), new Generator(4)];
  const forks = [a.fork(), a.fork(), b.fork()];
  t.not(forks[0]!.state().seed, forks[1]!.state().seed);
  t.deepEqual(forks[0]!.state(), forks[2]!.state());
});

test("the number of threads changes nothing", async (t) => {
  const script = `
    import { createHash } from "node:crypto";
    import { dropout, Generator, max, mean, rand, randn, sum } from ${JSON.stringify(
      fileURLToPath(new URL("../../src/ops/index.ts", import.meta.url)),
    )};
    const generator = new Generator(2);
    const x = randn([700, 513], { generator });
    const results = [x, rand([100_001], { generator }), dropout(x, 0.3, { generator })];
    for (const reduce of [sum, mean, max])
      for (const axes of [undefined, 0, 1]) results.push(reduce(x, axes));
    const hash = createHash("sha256");
    for (const result of results) hash.update(new Uint8Array((await result.data()).buffer));
    console.log(hash.digest("hex"));
  `;
  const run = promisify(execFile);
  const hashes = await Promise.all(
    ["1", "2", "7"].map(async (threads) => {
      const { stdout } = await run(
        process.execPath,
        ["--import=tsx", "--input-type=module", "--eval", script],
        { env: { ...process.env, USER_LLM_THREADS: threads } },
      );
      return stdout.trim();
    }),
  );
  t.regex(hashes[0]!, /^[0-9a-f]{64}$/);
  t.is(new Set(hashes).size, 1);
});
