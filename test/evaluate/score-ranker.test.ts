import { setImmediate } from "node:timers/promises";
import test from "ava";
import fc from "fast-check";
import { type Recommender, scoreRanker } from "../../src/evaluate/index.js";
import { tensor } from "../../src/tensor/index.js";
import { emptyBatch, naiveRanks, naiveTop, plainRanks, seenLists, topOf } from "./naive.js";

const cases = () =>
  fc.integer({ min: 1, max: 40 }).chain((items) => {
    const item = fc.integer({ min: 0, max: items - 1 });
    const score = fc.oneof(
      { weight: 12, arbitrary: fc.integer({ min: -3, max: 3 }) },
      { weight: 1, arbitrary: fc.constantFrom(Number.NaN, -0, Infinity, -Infinity) },
    );
    const user = fc.record({
      scores: fc.array(score, { minLength: items, maxLength: items }),
      target: item,
      seen: fc.array(item, { maxLength: 60 }),
    });
    return fc.record({ items: fc.constant(items), users: fc.array(user, { minLength: 1 }) });
  });

test("ranks and top items are those of sorted scores", async (t) => {
  await fc.assert(
    fc.asyncProperty(cases(), fc.integer({ min: 1, max: 50 }), async ({ items, users }, count) => {
      const scores = users.map((user) => user.scores);
      const targets = users.map(({ target }) => target);
      const seen = users.map((user) => user.seen);
      const lists = seenLists(seen);
      const batch = emptyBatch(users.length);
      const given: number[][] = [];
      const ranker = scoreRanker({
        name: "given",
        items,
        scores(history, user) {
          given.push([...history]);
          return scores[user]!;
        },
      });
      const ranks = await ranker.rank(batch, Int32Array.from(targets), lists);
      t.deepEqual(plainRanks(ranks), naiveRanks(scores, targets, seen));
      t.deepEqual(given, seen);
      const top = await ranker.topItems(batch, count, { seen: lists });
      t.is(top.count, Math.min(count, items));
      for (const [i, row] of scores.entries()) {
        const expected = naiveTop(row, count, seen[i]);
        t.deepEqual(topOf(top, i), expected);
        for (const [at, item] of expected.entries())
          t.is(top.scores[i * top.count + at], row[item]);
      }
    }),
  );
});

test("without lists the histories are what the batch shows, in either layout", async (t) => {
  const ranker: Recommender = scoreRanker({
    name: "the last again",
    items: 5,
    scores: (history) => Array.from({ length: 5 }, (_, item) => history.lastIndexOf(item)),
  });
  using padded = tensor(Int32Array.of(3, 1, 0, 2, 0, 0), { shape: [2, 3] });
  using ragged = tensor(Int32Array.of(3, 1, 2));
  const inPadded = await ranker.topItems(
    { ...emptyBatch(2), layout: "padded", extents: Int32Array.of(2, 1), inputs: { item: padded } },
    2,
  );
  const inRagged = await ranker.topItems(
    { ...emptyBatch(2), extents: Int32Array.of(0, 2, 3), inputs: { item: ragged } },
    2,
  );
  for (const top of [inPadded, inRagged]) {
    t.deepEqual(
      [topOf(top, 0), topOf(top, 1)],
      [
        [1, 3],
        [2, 0],
      ],
    );
  }
  await t.throwsAsync(ranker.topItems(emptyBatch(2), 2), { message: /has no items/ });
});

test("scores of too few items are refused", async (t) => {
  const ranker = scoreRanker({ name: "short", items: 3, scores: () => [1, 2] });
  await t.throwsAsync(ranker.rank(emptyBatch(1), Int32Array.of(0), seenLists([[]])), {
    code: "ERR_USAGE",
    message: "short: scores must give a number for each of 3 items, got 2",
  });
});

test("other work gets its turn, and overlapping calls do not mix", async (t) => {
  const items = 100_000;
  const scores = Float64Array.from({ length: items }, (_, item) => item % 1000);
  const ranker = scoreRanker({ name: "large", items, scores: () => scores });
  let turns = 0;
  let isDone = false;
  const others = (async () => {
    for (; !isDone; turns++) await setImmediate();
  })();
  const size = 256;
  const seen = seenLists(Array.from({ length: size }, (_, i) => [999, 1999, 999, i]));
  const targets = Int32Array.from({ length: size }, (_, i) => i);
  const calls = [0, 1].map(() => ranker.rank(emptyBatch(size), targets, seen));
  const [first, second] = await Promise.all(calls);
  isDone = true;
  await others;
  t.deepEqual(first, second);
  t.is(first!.unmasked[7], 100 * (1000 - 7));
  t.is(first!.masked[7], 100 * (1000 - 7) - 2);
  t.true(turns > 5, `${turns} turns`);
});
