import test from "ava";
import fc from "fast-check";
import { worthOf } from "../../src/evaluate/index.js";
import { metricNames, RankCounts } from "../../src/evaluate/metrics.js";

test("metrics of a rank, by hand", (t) => {
  const at = (metric: string, rank: number): number => worthOf(metric)(rank);
  t.is(at("recall@1", 1), 1);
  t.is(at("recall@1", 2), 0);
  t.is(at("recall@10", 10), 1);
  t.is(at("recall@10", 11), 0);
  t.is(at("ndcg@10", 1), 1);
  t.is(at("ndcg@10", 3), 0.5);
  t.is(at("ndcg@10", 7), 1 / 3);
  t.is(at("ndcg@10", 11), 0);
  t.is(at("ndcg@20", 15), 0.25);
  t.is(at("mrr", 4), 0.25);
  for (const name of [
    "recall",
    "recall@0",
    "recall@-1",
    "ndcg@1.5",
    "MRR",
    "hr@10",
    "ndcg@1e3",
    "",
  ])
    t.throws(() => worthOf(name), { code: "ERR_USAGE", message: /^a metric is/ });
});

test("means of four ranks, by hand", (t) => {
  const counts = new RankCounts([1, 3, 10], 50);
  for (const rank of [1, 3, 7, 50]) counts.add(rank);
  const expected = [1 / 4, 2 / 4, 3 / 4, 1 / 4, 1.5 / 4, (1.5 + 1 / 3) / 4];
  const mrr = (1 + 1 / 3 + 1 / 7 + 1 / 50) / 4;
  for (const [i, mean] of counts.means()!.entries())
    t.true(Math.abs(mean - [...expected, mrr][i]!) < 1e-15);
  counts.clear();
  t.is(counts.means(), undefined);
});

test("means are those of ranks one by one, weighted", (t) => {
  const ks = fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 });
  const ranks = fc.array(
    fc.record({ rank: fc.integer({ min: 1, max: 30 }), times: fc.integer({ min: 1, max: 5 }) }),
    { minLength: 1 },
  );
  fc.assert(
    fc.property(ks, ranks, (ks, ranks) => {
      const counts = new RankCounts(ks, 30);
      for (const { rank, times } of ranks) counts.add(rank, times);
      const all = ranks.flatMap(({ rank, times }) => new Array<number>(times).fill(rank));
      const means = counts.means()!;
      for (const [i, name] of metricNames(ks).entries()) {
        const expected = all.reduce((sum, rank) => sum + worthOf(name)(rank), 0) / all.length;
        t.true(Math.abs(means[i]! - expected) < 1e-12, name);
      }
    }),
  );
});
