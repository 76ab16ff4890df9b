import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import type { Batch, PreparedData, Split, SplitOptions } from "../../src/data/index.js";
import {
  encoderRanker,
  evaluateRanking,
  type Ranker,
  type RankingResult,
  type Recommender,
  type Seen,
  scoreRanker,
  worthOf,
} from "../../src/evaluate/index.js";
import { memory, tensor } from "../../src/tensor/index.js";
import { openSplit } from "../tasks/tasks.js";
import { FixedEncoder, naiveRank } from "./naive.js";

let before: number;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => {
  t.is(memory().tensors, before, "no tensor is left");
});

const itemCount = 12;

/** Histories with repeats, in which the last item occurs, so that the data has it. */
const someHistories = (): number[][][] =>
  fc
    .sample(
      fc.array(
        fc.array(fc.integer({ min: 0, max: itemCount - 1 }), { minLength: 1, maxLength: 14 }),
        { minLength: 5, maxLength: 12 },
      ),
      { numRuns: 5, seed: 1 },
    )
    .map((histories) => [...histories, [itemCount - 1, 0, 1, 2, 3, 4]]);

/** Scores that depend on the history, with ties. */
const scoresFor = (history: readonly number[], user: number): number[] =>
  Array.from({ length: itemCount }, (_, item) => {
    const last = history.at(-1) ?? 0;
    return ((item * 7 + last * 3 + user + history.length) % 5) - (item === 3 ? Number.NaN : 0);
  });

const historyRanker = (): Recommender =>
  scoreRanker({
    name: "by history",
    items: itemCount,
    scores: (history, user) => scoresFor([...history], user),
  });

interface Row {
  user: number;
  row: number;
  unmasked: number;
  masked: number;
  cold: boolean;
  repeated: boolean;
}

/** Ranks the targets of the split's test windows, in loops. */
function naive(histories: number[][], { train, test: tested }: Split): Row[] {
  const events = histories.flat();
  const trained = new Set<number>();
  for (const { start, target } of train)
    for (let row = start; row <= target; row++) trained.add(events[row]!);
  return [...tested].map(({ user, target }) => {
    const begin = histories.slice(0, user).flat().length;
    const history = events.slice(begin, target);
    const item = events[target]!;
    const scores = scoresFor(history, user);
    return {
      user,
      row: target,
      unmasked: naiveRank(scores, item),
      masked: naiveRank(scores, item, history),
      cold: !trained.has(item),
      repeated: history.includes(item),
    };
  });
}

const options: SplitOptions[] = [
  { windows: "padded", length: 4 },
  { windows: "padded", length: 4, validation: false, stride: 2 },
  { windows: "padded", length: 3, strategy: "temporal", temporal: { testShare: 0.4 } },
  { windows: "padded", length: 3, disjointUsers: { testShare: 0.5 }, validation: false },
];

async function evaluated(t: ExecutionContext, histories: number[][], chosen: SplitOptions) {
  const { data, ...split } = await openSplit(t, { histories }, chosen);
  const result = await evaluateRanking(historyRanker(), data, split, {
    ks: [5, 1, 3, 3],
    bootstrap: 50,
    batchSize: 7,
  });
  return { data, split, result };
}

test.serial("ranks, cold and repeated targets and metrics are those of loops", async (t) => {
  let cold = 0;
  let repeated = 0;
  let several = 0;
  for (const histories of someHistories()) {
    for (const chosen of options) {
      const { result, split } = await evaluated(t, histories, chosen);
      const rows = naive(histories, split);
      const { windows, counts, metrics } = result;
      t.deepEqual(
        rows,
        windows.users.map((user, i) => ({
          user,
          row: windows.targetRows[i]!,
          unmasked: windows.unmasked[i]!,
          masked: windows.masked[i]!,
          cold: windows.cold[i] === 1,
          repeated: windows.repeated[i] === 1,
        })),
      );
      const users = new Set(windows.users).size;
      t.deepEqual(counts, {
        windows: rows.length,
        users,
        usersNotTested: histories.length - users,
        coldTargets: rows.filter((row) => row.cold).length,
        repeatedTargets: rows.filter((row) => row.repeated).length,
      });
      t.is(counts.coldTargets, split.card.test.coldTargets);
      checkMeans(t, metrics.all, rows);
      const warm = rows.filter((row) => !row.cold);
      if (warm.length === 0) t.is(metrics.withoutCold, null);
      else checkMeans(t, metrics.withoutCold!, warm);
      cold += counts.coldTargets;
      repeated += counts.repeatedTargets;
      several += rows.length - users;
    }
  }
  t.true(cold > 10 && repeated > 10 && several > 10, "the cases have all of it");
});

function checkMeans(
  t: ExecutionContext,
  measured: RankingResult["metrics"]["all"],
  rows: readonly Row[],
): void {
  for (const kind of ["unmasked", "masked"] as const) {
    t.deepEqual(Object.keys(measured[kind]), [
      ...["recall@1", "recall@3", "recall@5", "ndcg@1", "ndcg@3", "ndcg@5", "mrr"],
    ]);
    for (const [name, { mean, interval }] of Object.entries(measured[kind])) {
      const expected = rows.reduce((sum, row) => sum + worthOf(name)(row[kind]), 0) / rows.length;
      t.true(Math.abs(mean - expected) < 1e-12, `${name}: ${mean}, expected ${expected}`);
      const [low, high] = interval!;
      t.true(0 <= low && low <= high && high <= 1);
    }
  }
}

test.serial("what a ranker gets ends before the target", async (t) => {
  const histories = someHistories()[0]!;
  for (const layout of ["padded", "ragged"] as const) {
    const { data, ...split } = await openSplit(t, { histories }, { windows: "padded", length: 4 });
    const events = histories.flat();
    let windows = 0;
    const spy: Ranker = {
      name: "spy",
      items: itemCount,
      features: ["item"],
      async rank(batch: Batch, targets: Int32Array, seen: Seen) {
        t.deepEqual(batch.targets, {});
        const inputs = await batch.inputs.item!.dataAs("int32");
        for (let i = 0; i < batch.size; i++) {
          windows++;
          const history = histories[batch.users[i]!]!;
          const begin = histories.slice(0, batch.users[i]!).flat().length;
          const place = batch.targetRows[i]! - begin;
          t.is(place, history.length - 1);
          t.is(targets[i], events[batch.targetRows[i]!]);
          const window = history.slice(Math.max(0, place - 4), place);
          const from = layout === "padded" ? 4 * i : batch.extents[i]!;
          t.deepEqual([...inputs.subarray(from, from + window.length)], window);
          t.deepEqual(
            [...seen.ids.subarray(seen.offsets[i]!, seen.offsets[i + 1]!)],
            history.slice(0, place),
          );
        }
        const ones = new Int32Array(batch.size).fill(1);
        return { unmasked: ones, masked: ones };
      },
    };
    const result = await evaluateRanking(spy, data, split, { layout, batchSize: 3 });
    t.is(windows, split.test.count);
    t.is(result.metrics.all.masked["recall@1"]!.mean, 1);
  }
});

test.serial("an encoder is ranked as its scores are, whatever the batches", async (t) => {
  const histories = someHistories()[1]!;
  const { data, ...split } = await openSplit(t, { histories }, { windows: "padded", length: 4 });
  const table = Array.from({ length: itemCount }, (_, item) => [item % 5, (item * 3) % 4]);
  const encoder = new FixedEncoder(
    ({ users }) => tensor([...users].map((user) => [user % 3, 1 - (user % 2)])),
    () => ({ weight: tensor(table) }),
  );
  const same = scoreRanker({
    name: "encoder",
    items: itemCount,
    scores: (_, user) => table.map(([a, b]) => a! * (user % 3) + b! * (1 - (user % 2))),
  });
  using ranker = encoderRanker(encoder);
  const expected = await evaluateRanking(same, data, split);
  for (const batchSize of [1, 3, 256])
    t.deepEqual(await evaluateRanking(ranker, data, split, { batchSize }), expected);
});

test.serial("the protocol says what was decided", async (t) => {
  const histories = someHistories()[2]!;
  const { result, split, data } = await evaluated(t, histories, options[0]!);
  const { versions, windows, ...protocol } = result.protocol;
  t.deepEqual(protocol, {
    task: "next-item",
    part: "test",
    sampledUsers: null,
    candidates: itemCount,
    seen: "history",
    ties: "pessimistic",
    ks: [1, 3, 5],
    bootstrap: { over: "users", resamples: 50, level: 0.95, seed: 0 },
    split: split.card,
  });
  t.regex(windows, /^[0-9a-f]{64}$/);
  t.regex(versions.userLlm, /^\d+\.\d+\.\d+/);
  const validation = await evaluateRanking(historyRanker(), data, split, {
    part: "validation",
    users: 3,
    bootstrap: 0,
  });
  t.is(validation.counts.users, 3);
  t.is(validation.protocol.sampledUsers, 3);
  t.is(validation.protocol.bootstrap, null);
  t.is(validation.metrics.all.masked.mrr!.interval, null);
  t.not(validation.protocol.windows, windows);
});

test.serial("what makes no sense is refused", async (t) => {
  const histories = someHistories()[3]!;
  const { data, ...split } = await openSplit(t, { histories }, options[1]!);
  const other = await openSplit(t, { histories: [...histories, [1, 2, 3, 4]] }, options[1]!);
  const ranker = historyRanker();
  const refused = (
    message: RegExp,
    given: { ranker?: Ranker; data?: PreparedData; options?: object },
  ) =>
    t.throwsAsync(
      evaluateRanking(given.ranker ?? ranker, given.data ?? data, split, given.options),
      { code: "ERR_USAGE", message },
    );
  await refused(/other data/, { data: other.data });
  await refused(/no validation windows/, { options: { part: "validation" } });
  await refused(/part must be/, { options: { part: "train" } });
  await refused(/ks must/, { options: { ks: [] } });
  await refused(/ks must be a whole number/, { options: { ks: [0] } });
  await refused(/users must/, { options: { users: 0 } });
  await refused(/seed must/, { options: { seed: -1 } });
  await refused(/bootstrap must/, { options: { bootstrap: 0.5 } });
  await refused(/batchSize must/, { options: { batchSize: 0 } });
  await refused(/orders 13 items/, { ranker: { ...ranker, items: 13, features: [] } });
  const ranks = (unmasked: number, masked: number, extra = 0): Ranker => ({
    name: "odd",
    items: itemCount,
    features: ["item"],
    rank: async ({ size }) => ({
      unmasked: new Int32Array(size + extra).fill(unmasked),
      masked: new Int32Array(size).fill(masked),
    }),
  });
  await refused(/^odd: ranks are from 1 to 12/, { ranker: ranks(0, 0) });
  await refused(/^odd: ranks are from 1 to 12/, { ranker: ranks(13, 1) });
  await refused(/^odd: ranks are from 1 to 12/, { ranker: ranks(2, 3) });
  await refused(/^odd: expected/, { ranker: ranks(2, 2, 1) });
});

test.serial("a ranker's failure and an abort end the evaluation, and leave nothing", async (t) => {
  const histories = someHistories()[4]!;
  const { data, ...split } = await openSplit(t, { histories }, options[0]!);
  const ranker = historyRanker();
  let calls = 0;
  const failing: Ranker = {
    ...{ name: "failing", items: itemCount, features: ["item"] },
    rank(batch, targets, seen) {
      if (++calls === 3) throw new Error("out of luck");
      return ranker.rank(batch, targets, seen);
    },
  };
  await t.throwsAsync(evaluateRanking(failing, data, split, { batchSize: 1 }), {
    message: "out of luck",
  });
  const controller = new AbortController();
  const stopping: Ranker = {
    ...{ name: "stopping", items: itemCount, features: ["item"] },
    rank(batch, targets, seen) {
      controller.abort(new Error("enough"));
      return ranker.rank(batch, targets, seen);
    },
  };
  const { signal } = controller;
  await t.throwsAsync(evaluateRanking(stopping, data, split, { batchSize: 1, signal }), {
    message: "enough",
  });
});
