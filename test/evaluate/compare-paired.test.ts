import test from "ava";
import {
  comparePaired,
  describeComparison,
  type RankedWindows,
  type RankingProtocol,
  type RankingResult,
  worthOf,
} from "../../src/evaluate/index.js";
import { Random } from "../../src/evaluate/random.js";
import { inventedResult, inventedWindows } from "./invented-results.js";

const better = async (): Promise<RankingResult> =>
  inventedResult(inventedWindows(1, 40), { name: "better" });
const worse = async (): Promise<RankingResult> =>
  inventedResult(inventedWindows(2), { name: "worse" });

test("the difference is that of the means, for any k", async (t) => {
  const [a, b] = [await better(), await worse()];
  for (const metric of ["ndcg@10", "recall@7", "mrr"] as const) {
    for (const masked of [true, false]) {
      const comparison = await comparePaired(a, b, { metric, masked, resamples: 100 });
      const mean = ({ windows }: RankingResult): number => {
        const worths = (masked ? windows.masked : windows.unmasked).map(worthOf(metric));
        return worths.reduce((sum, x) => sum + x, 0) / worths.length;
      };
      t.true(Math.abs(comparison.difference - (mean(a) - mean(b))) < 1e-12);
      t.is(comparison.a.mean, mean(a));
      t.is(comparison.b.mean, mean(b));
      t.is(comparison.users, 80);
    }
  }
});

test("a clear difference is told from none", async (t) => {
  const clear = await comparePaired(await better(), await worse(), { resamples: 2_000 });
  t.true(clear.interval[0] > 0);
  t.true(clear.pValue < 0.01, `${clear.pValue}`);
  const same = await comparePaired(await worse(), await worse());
  t.deepEqual([same.difference, ...same.interval, same.pValue], [0, 0, 0, 1]);
});

test("exchanging the two changes signs and nothing else; the same seed gives the same", async (t) => {
  const [a, b] = [await better(), await worse()];
  const options = { metric: "mrr", resamples: 500, seed: 3 } as const;
  const ab = await comparePaired(a, b, options);
  const ba = await comparePaired(b, a, options);
  t.is(ab.difference, -ba.difference);
  t.true(Math.abs(ab.interval[0] + ba.interval[1]) < 1e-12);
  t.true(Math.abs(ab.interval[1] + ba.interval[0]) < 1e-12);
  t.is(ab.pValue, ba.pValue);
  t.deepEqual(await comparePaired(a, b, options), ab);
  t.notDeepEqual((await comparePaired(a, b, { ...options, seed: 4 })).interval, ab.interval);
});

/** Recall@1 differences of users with equal windows, which a binomial test knows. */
test("the p-value is that of the sign test where differences are signs", async (t) => {
  const users = Array.from({ length: 20 }, (_, i) => i);
  const windows = (hits: number): RankedWindows => ({
    ...{ users, targetRows: users.map((user) => 9 * user), unmasked: users.map(() => 9) },
    masked: users.map((user) => (user < hits ? 1 : 9)),
    ...{ cold: users.map(() => 0), repeated: users.map(() => 0) },
  });
  // 14 users for a, 6 for b: P(at least 14 of 20, or at most 6) = 0.11532.
  const against = { ...windows(0), masked: users.map((user) => (user < 14 ? 9 : 1)) };
  const a = await inventedResult(windows(14));
  const b = await inventedResult(against);
  const options = { metric: "recall@1", resamples: 20_000 } as const;
  const { pValue, difference } = await comparePaired(a, b, options);
  t.is(difference, 8 / 20);
  t.true(Math.abs(pValue - 0.11532) < 0.009, `${pValue}: four standard deviations`);
});

test("windows of a user come together: repeating all of them changes no interval", async (t) => {
  const repeat = ({ users, ...columns }: RankedWindows): RankedWindows => {
    const twice = (numbers: readonly number[]) => numbers.flatMap((n) => [n, n]);
    return {
      users: twice(users),
      targetRows: twice(columns.targetRows).map((_, i) => i),
      ...{ unmasked: twice(columns.unmasked), masked: twice(columns.masked) },
      ...{ cold: twice(columns.cold), repeated: twice(columns.repeated) },
    };
  };
  const [x, y] = [inventedWindows(1, 40), inventedWindows(2)];
  const options = { resamples: 300 };
  const once = await comparePaired(await inventedResult(x), await inventedResult(y), options);
  const twice = await comparePaired(
    await inventedResult(repeat(x)),
    await inventedResult(repeat(y)),
    options,
  );
  t.true(Math.abs(once.interval[0] - twice.interval[0]) < 1e-12);
  t.true(Math.abs(once.interval[1] - twice.interval[1]) < 1e-12);
  t.is(once.pValue, twice.pValue);
});

test("95 % intervals of no difference hold 0, and p-values are even", async (t) => {
  const trials = 400;
  let held = 0;
  let small = 0;
  const random = new Random(17);
  for (let trial = 0; trial < trials; trial++) {
    const a = await inventedResult(inventedWindows(random.word()), { resamples: 0 });
    const b = await inventedResult(inventedWindows(random.word()), { resamples: 0 });
    const { interval, pValue } = await comparePaired(a, b, {
      ...{ metric: "mrr", resamples: 200, seed: trial },
    });
    if (interval[0] <= 0 && 0 <= interval[1]) held++;
    if (pValue <= 0.2) small++;
  }
  // Four standard deviations of a binomial; the percentile method itself holds a little less than it says.
  t.true(held / trials > 0.87 && held / trials < 0.99, `${held} of ${trials}`);
  t.true(Math.abs(small / trials - 0.2) < 0.08, `${small} of ${trials} p-values below 0.2`);
});

test("unlike protocols are refused, and what differs is named", async (t) => {
  const a = await better();
  const changed = async (change: (protocol: RankingProtocol) => object): Promise<RankingResult> => {
    const b = await worse();
    return { ...b, protocol: { ...b.protocol, ...change(b.protocol) } };
  };
  const split = (change: object) => (protocol: RankingProtocol) => ({
    split: { ...protocol.split, fingerprint: "6".repeat(64), ...change },
  });
  const decisions = (change: object) => (protocol: RankingProtocol) =>
    split({ decisions: { ...protocol.split.decisions, ...change } })(protocol);
  const cases: [(protocol: RankingProtocol) => object, RegExp][] = [
    [() => ({ part: "validation" }), /differ: part: test, validation$/],
    [() => ({ candidates: 99 }), /candidates: 100, 99/],
    [() => ({ sampledUsers: 10 }), /sampled users: all, 10/],
    [() => ({ windows: "a".repeat(64) }), /differ: windows: /],
    [split({}), /differ: split: 555555555555, 666666666666$/],
    [
      decisions({ length: 20, windows: "full" }),
      /split.windows: padded, full; split.length: 50, 20$/,
    ],
    [decisions({ temporal: { testFrom: 5 } }), /split.temporal: none, {"testFrom":5}/],
    [
      (protocol) =>
        split({ data: { ...protocol.split.data, title: "Other", fingerprint: "e".repeat(64) } })(
          protocol,
        ),
      /data: Invented dddddddddddd, Other eeeeeeeeeeee/,
    ],
  ];
  for (const [change, message] of cases)
    await t.throwsAsync(comparePaired(a, await changed(change)), { code: "ERR_USAGE", message });
  const other = await changed(({ versions }) => ({
    ...{ ks: [5], bootstrap: null, versions: { ...versions, node: "24.0.0" } },
  }));
  await t.notThrowsAsync(comparePaired(a, other, { resamples: 10 }));
  await t.throwsAsync(comparePaired(a, a, { resamples: 0 }), { message: /resamples must/ });
  await t.throwsAsync(comparePaired(a, a, { seed: 0.5 }), { message: /seed must/ });
  await t.throwsAsync(comparePaired(a, a, { metric: "auc" as "mrr" }), { message: /a metric is/ });
});

test("a comparison for people", async (t) => {
  const text = describeComparison({
    metric: "ndcg@10",
    masked: true,
    a: { ranker: "SASRec", mean: 0.1824 },
    b: { ranker: "co-occur\nrence", mean: 0.1612 },
    difference: 0.0212,
    interval: [0.0171, 0.02534],
    level: 0.95,
    pValue: 0.00009999,
    ...{ users: 6_040, windows: 6_040, resamples: 10_000, seed: 0 },
  });
  t.is(
    text,
    `ndcg@10, seen items masked

SASRec            0.1824
co-occur rence    0.1612
difference       +0.0212

95 % interval +0.0171 to +0.0253, which excludes 0
p < 0.0001 (paired over 6,040 users, 6,040 windows; 10,000 resamples, seed 0)
`,
  );
});
