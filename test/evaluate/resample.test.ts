import test from "ava";
import { measure } from "../../src/evaluate/measure.js";
import { Random } from "../../src/evaluate/random.js";
import type { RankedWindows } from "../../src/evaluate/ranking-result.js";
import { percentileInterval, resampleUsers } from "../../src/evaluate/resample.js";

test("random numbers are those of xoshiro128**, and even", (t) => {
  // Reference: the authors' C, begun with words of MurmurHash3's finalizer.
  const random = new Random(1);
  t.deepEqual(
    Array.from({ length: 4 }, () => random.word()),
    referenceWords(1, 4),
  );
  t.notDeepEqual(referenceWords(1, 4), referenceWords(2, 4));
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 100_000; i++) counts[random.below(10)]!++;
  const chiSquare = counts.reduce((sum, n) => sum + (n - 10_000) ** 2 / 10_000, 0);
  t.true(chiSquare < 27.9, `${chiSquare}: 99.9 % of even ones are below`);
});

function referenceWords(seed: number, count: number): number[] {
  const mask = 0xffffffffn;
  const word = (value: bigint): bigint => value & mask;
  const rotate = (x: bigint, k: bigint): bigint => word((x << k) | (x >> (32n - k)));
  let z = BigInt(seed);
  const s = Array.from({ length: 4 }, () => {
    z = word(z + 0x9e3779b9n);
    let x = word((z ^ (z >> 16n)) * 0x85ebca6bn);
    x = word((x ^ (x >> 13n)) * 0xc2b2ae35n);
    return x ^ (x >> 16n);
  }) as [bigint, bigint, bigint, bigint];
  return Array.from({ length: count }, () => {
    const result = word(rotate(word(s[1] * 5n), 7n) * 9n);
    const t = word(s[1] << 9n);
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 11n);
    return Number(result);
  });
}

test("intervals lie between order statistics", (t) => {
  const values = Float64Array.from({ length: 101 }, (_, i) => 100 - i);
  const [low, high] = percentileInterval(values)!;
  t.true(Math.abs(low - 2.5) < 1e-12 && Math.abs(high - 97.5) < 1e-12);
  t.is(percentileInterval(new Float64Array(0)), undefined);
  t.deepEqual(percentileInterval(Float64Array.of(3)), [3, 3]);
});

/** Users with some windows each; `share` of the ranks is 1, and windows of a user are alike. */
function invented(random: Random, users: number, share: number): RankedWindows {
  const columns = { users: [] as number[], ranks: [] as number[] };
  for (let user = 0; user < users; user++) {
    const rank = random.below(1000) < 1000 * share ? 1 : 9;
    const count = 1 + random.below(5);
    for (let i = 0; i < count; i++) {
      columns.users.push(user);
      columns.ranks.push(rank);
    }
  }
  const zeros = columns.ranks.map(() => 0);
  return {
    users: columns.users,
    targetRows: columns.users.map((_, i) => i),
    unmasked: columns.ranks,
    masked: columns.ranks,
    cold: zeros,
    repeated: zeros,
  };
}

test("95 % intervals hold the true mean about 95 times in a hundred, though windows are alike", async (t) => {
  const random = new Random(5);
  const trials = 200;
  let held = 0;
  for (let trial = 0; trial < trials; trial++) {
    const windows = invented(random, 120, 0.3);
    const { all } = await measure(windows, { ks: [1], resamples: 200, seed: trial });
    const [low, high] = all.masked["recall@1"]!.interval!;
    if (low <= 0.3 && 0.3 <= high) held++;
  }
  // 3.5 standard deviations of a binomial, and a little for the percentile method's own error.
  t.true(held / trials > 0.89 && held / trials < 0.99, `${held} of ${trials}`);
});

test("the same seed gives the same intervals, another gives others", async (t) => {
  const windows = invented(new Random(1), 60, 0.4);
  const first = await measure(windows, { ks: [1, 5], resamples: 100, seed: 7 });
  t.deepEqual(await measure(windows, { ks: [1, 5], resamples: 100, seed: 7 }), first);
  t.notDeepEqual(await measure(windows, { ks: [1, 5], resamples: 100, seed: 8 }), first);
});

test("each resample draws as many users as there are", async (t) => {
  const sums: number[] = [];
  const seen = new Set<number>();
  const options = { resamples: 40, seed: 3, effort: 0 };
  await resampleUsers(50, options, {}, (times) => {
    sums.push(times.reduce((sum, n) => sum + n, 0));
    for (const [user, n] of times.entries()) if (n > 0) seen.add(user);
  });
  t.deepEqual(sums, new Array(40).fill(50));
  t.is(seen.size, 50);
});

test("a resample without warm windows is left out of their intervals", async (t) => {
  const windows: RankedWindows = {
    users: [0, 1],
    targetRows: [5, 9],
    unmasked: [1, 2],
    masked: [1, 2],
    cold: [1, 0],
    repeated: [0, 0],
  };
  const { all, withoutCold } = await measure(windows, { ks: [1, 2], resamples: 200, seed: 0 });
  t.deepEqual(all.masked["recall@1"], { mean: 0.5, interval: [0, 1] });
  t.deepEqual(withoutCold!.masked["recall@2"], { mean: 1, interval: [1, 1] });
  t.deepEqual(withoutCold!.masked.mrr, { mean: 0.5, interval: [0.5, 0.5] });
  const cold = await measure({ ...windows, cold: [1, 1] }, { ks: [1], resamples: 9, seed: 0 });
  t.is(cold.withoutCold, null);
});
