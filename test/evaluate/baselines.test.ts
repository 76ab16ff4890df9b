import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { movielens, PreparedData, prepare, type Split, split } from "../../src/data/index.js";
import {
  type CoOccurrenceOptions,
  coOccurrence,
  evaluateRanking,
  mostPopular,
  type Recommender,
} from "../../src/evaluate/index.js";
import { freshFolder } from "../data/prepared/prepared-folder.js";
import { testReal } from "../data/real-data.js";
import { openSplit } from "../tasks/tasks.js";
import { emptyBatch, seenLists } from "./naive.js";

const itemCount = 10;
const someHistories = (seed: number): number[][][] =>
  fc
    .sample(
      fc.array(
        fc.array(fc.integer({ min: 0, max: itemCount - 1 }), { minLength: 1, maxLength: 16 }),
        { minLength: 6, maxLength: 12 },
      ),
      { numRuns: 4, seed },
    )
    .map((histories) => [...histories, [itemCount - 1, 0, 1, 2, 3, 4]]);

/** What training windows show of each user, event by event. */
function trainingHistories(histories: readonly number[][], { train }: Split): number[][] {
  const events = histories.flat();
  const rows = new Map<number, Set<number>>();
  for (const { user, start, target } of train)
    for (let row = start; row <= target; row++)
      rows.set(user, (rows.get(user) ?? new Set()).add(row));
  return [...rows.values()].map((own) => [...own].sort((a, b) => a - b).map((row) => events[row]!));
}

function popularityIn(training: readonly number[][]): number[] {
  const counts = new Array<number>(itemCount).fill(0);
  for (const item of training.flat()) counts[item]!++;
  return counts;
}

/** The ranker's score of every item after a history. */
async function scoresOf(ranker: Recommender, history: readonly number[]): Promise<number[]> {
  const batch = emptyBatch(1);
  const seen = seenLists([history]);
  const { items, scores } = await ranker.topItems(batch, ranker.items, { seen });
  const all = new Array<number>(ranker.items).fill(Number.NaN);
  for (const [at, item] of items.entries()) if (item >= 0) all[item] = scores[at]!;
  return all;
}

test("popularity counts training events, and no others", async (t) => {
  for (const histories of someHistories(1)) {
    for (const validation of [true, false]) {
      const options = { windows: "padded", length: 3, validation, stride: 2 } as const;
      const { data, ...made } = await openSplit(t, { histories }, options);
      const ranker = await mostPopular(data, made.train);
      const counts = popularityIn(trainingHistories(histories, made));
      t.deepEqual(await scoresOf(ranker, []), counts);
    }
  }
});

function naiveCoOccurrence(
  training: readonly number[][],
  history: readonly number[],
  options: CoOccurrenceOptions,
): number[] {
  const { window = 5, recency = 1, damping = 0.3, length = 50, followers = 500 } = options;
  const events = popularityIn(training);
  const strength = (i: number): Map<number, number> => {
    const counts = new Map<number, number>();
    for (const own of training)
      for (const [at, item] of own.entries())
        if (item === i)
          for (const next of own.slice(at + 1, at + 1 + window))
            if (next !== i) counts.set(next, (counts.get(next) ?? 0) + 1);
    const all = [...counts].map(([j, count]): [number, number] => [
      j,
      count / (Math.sqrt(events[i]!) * events[j]! ** damping),
    ]);
    return new Map(all.sort(([a, x], [b, y]) => y - x || a - b).slice(0, followers));
  };
  const scores = events.map((count) => (1e-12 * count) / Math.max(1, ...events));
  for (const [age, item] of [...history].reverse().slice(0, length).entries())
    for (const [j, value] of strength(item)) scores[j]! += (age + 1) ** -recency * value;
  return scores;
}

test("co-occurrence scores what followed in training", async (t) => {
  const variants: CoOccurrenceOptions[] = [
    {},
    { window: 1, recency: 0, damping: 0 },
    { window: 2, length: 3, damping: 0.5, followers: 2 },
  ];
  let scored = 0;
  for (const histories of someHistories(2)) {
    const options = { windows: "padded", length: 4 } as const;
    const { data, ...made } = await openSplit(t, { histories }, options);
    const training = trainingHistories(histories, made);
    for (const variant of variants) {
      const ranker = await coOccurrence(data, made.train, variant);
      for (const history of [...histories, []]) {
        const expected = naiveCoOccurrence(training, history, variant);
        for (const [item, score] of (await scoresOf(ranker, history)).entries()) {
          if (history.includes(item)) continue;
          t.true(close(score, expected[item]!), `${item}: ${score}, expected ${expected[item]}`);
          if (score > 1e-9) scored++;
        }
      }
    }
  }
  t.true(scored > 100);
});

/** Strengths are kept in float32. */
const close = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-6 * Math.max(1e-9, b);

test("options and windows that make no sense are refused", async (t) => {
  const [histories] = someHistories(3);
  const { data, train } = await openSplit(t, { histories: histories! }, { windows: "padded" });
  for (const options of [
    ...[{ window: 0 }, { window: 1001 }, { recency: -1 }, { damping: 2 }, { damping: Number.NaN }],
    ...[{ length: 0 }, { followers: 0.5 }],
  ])
    await t.throwsAsync(coOccurrence(data, train, options), {
      code: "ERR_USAGE",
      message: /^coOccurrence: \w+ is out of range/,
    });
  const other = await openSplit(
    t,
    { histories: [[9, 1, 2, 3]] },
    { windows: "padded", length: 2, validation: false },
  );
  await t.throwsAsync(mostPopular(data, other.train), { message: /other data/ });
  const signal = AbortSignal.abort(new Error("enough"));
  await t.throwsAsync(coOccurrence(data, train, { signal }), { message: "enough" });
});

testReal(
  "MovieLens latest-small: baselines score what they did",
  "ml-latest-small",
  async (t, path) => {
    const { data, made } = await prepared(t, path);
    t.teardown(() => data.close());
    const score = async (ranker: Recommender): Promise<[number, number]> => {
      const { metrics, counts } = await evaluateRanking(ranker, data, made, { bootstrap: 0 });
      t.is(counts.users, 610);
      const { unmasked, masked } = metrics.all;
      return [unmasked["recall@10"]!.mean, masked["recall@10"]!.mean];
    };
    const near = (got: [number, number], expected: [number, number]): void => {
      t.log(got);
      for (const i of [0, 1] as const) t.true(Math.abs(got[i] - expected[i]) < 0.0005, `${got}`);
    };
    near(await score(await mostPopular(data, made.train)), [0.0197, 0.0377]);
    near(await score(await coOccurrence(data, made.train)), [0.0869, 0.123]);
  },
);

async function prepared(t: ExecutionContext, path: string) {
  const out = await freshFolder(t);
  await prepare(await movielens(path), { out });
  const data = await PreparedData.open(out);
  return { data, made: await split(data, { windows: "padded" }) };
}
