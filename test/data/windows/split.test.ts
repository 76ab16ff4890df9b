import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { PreparedData } from "../../../src/data/prepared/prepared-data.js";
import { type SplitOptions, split } from "../../../src/data/windows/split.js";
import type { Window, Windows } from "../../../src/data/windows/windows.js";
import { DataError, UsageError } from "../../../src/errors.js";
import { type FolderContent, preparedFolder } from "../prepared/prepared-folder.js";

const open = async (t: ExecutionContext, content: FolderContent): Promise<PreparedData> => {
  const data = await PreparedData.open(await preparedFolder(t, content));
  t.teardown(() => data.close());
  return data;
};

/** A history of `events` different items, and one each second. */
const history = (events: number): number[] => Array.from({ length: events }, (_, i) => i);

interface Options {
  readonly windows: "full" | "padded";
  readonly length: number;
  readonly minHistory: number;
  readonly validation: boolean;
}

/** Leave-last-out by the specification, window by window. */
function naiveSplit(histories: readonly (readonly number[])[], options: Options) {
  const { windows, length, minHistory, validation } = options;
  const found: Record<"train" | "validation" | "test", Window[]> = {
    train: [],
    validation: [],
    test: [],
  };
  let start = 0;
  for (const [user, { length: events }] of histories.entries()) {
    const isLongEnough = windows === "full" ? events >= length + 1 : events >= minHistory;
    for (let i = windows === "full" ? length : 1; isLongEnough && i < events; i++) {
      const role =
        i === events - 1 ? "test" : validation && i === events - 2 ? "validation" : "train";
      found[role].push({ user, start: start + Math.max(0, i - length), target: start + i });
    }
    start += events;
  }
  return found;
}

const choices = fc.record({
  windows: fc.constantFrom("full" as const, "padded" as const),
  length: fc.integer({ min: 1, max: 5 }),
  minHistory: fc.integer({ min: 2, max: 5 }),
  validation: fc.boolean(),
});
const lengths = fc.array(fc.nat(9), { minLength: 1, maxLength: 6 });

test("leave-last-out gives the windows of a naive enumeration", async (t) => {
  await fc.assert(
    fc.asyncProperty(lengths, choices, async (lengths, options) => {
      const histories = lengths.map(history);
      const data = await open(t, { histories });
      const naive = naiveSplit(histories, options);
      if (naive.train.length === 0 || naive.test.length === 0) {
        await t.throwsAsync(split(data, options), { instanceOf: DataError });
        return;
      }
      const { train, validation, test, card } = await split(data, options);
      t.deepEqual([...train], naive.train);
      t.deepEqual([...(validation ?? [])], naive.validation);
      t.deepEqual([...test], naive.test);
      t.is(card.train.windows, naive.train.length);
      t.is(card.validation?.windows, options.validation ? naive.validation.length : undefined);
      t.is(card.usersNotTested, lengths.length - naive.test.length);
    }),
    { numRuns: 60 },
  );
});

/** Users of events at moments of few different values, so that many are tied. */
const timedHistories = fc.array(
  fc
    .array(fc.integer({ min: 0, max: 12 }), { maxLength: 9 })
    .map((times) => times.sort((a, b) => a - b)),
  { minLength: 1, maxLength: 6 },
);

test("no training window of a temporal split has an event of the later side", async (t) => {
  await fc.assert(
    fc.asyncProperty(timedHistories, fc.boolean(), async (times, validation) => {
      const data = await open(t, { histories: times.map(({ length }) => history(length)), times });
      const moments = times.flat();
      const temporal = validation ? { validationFrom: 5, testFrom: 8 } : { testFrom: 8 };
      const options = {
        windows: "padded",
        length: 3,
        minHistory: 2,
        strategy: "temporal",
        validation,
        temporal,
      } as const;
      let found: Awaited<ReturnType<typeof split>>;
      try {
        found = await split(data, options);
      } catch (error) {
        t.true(error instanceof DataError);
        return;
      }
      const sides = {
        train: [...found.train],
        validation: [...(found.validation ?? [])],
        test: [...found.test],
      };
      for (const { start, target } of sides.train) {
        for (let row = start; row <= target; row++) t.true(moments[row]! < (validation ? 5 : 8));
      }
      for (const { target } of sides.validation)
        t.true(moments[target]! >= 5 && moments[target]! < 8);
      for (const { target } of sides.test) t.true(moments[target]! >= 8);
      t.true(sides.validation.length === 0 || validation);

      const all = times.flatMap((history) => (history.length < 2 ? [] : history.slice(1)));
      t.is(sides.train.length + sides.validation.length + sides.test.length, all.length);
    }),
    { numRuns: 60 },
  );
});

test("one target for each user and period", async (t) => {
  const times = [
    [1, 2, 3, 10, 11, 12],
    [1, 2, 3, 12],
  ];
  const data = await open(t, { histories: times.map(({ length }) => history(length)), times });
  const targets = async (which: "all" | "first" | "last"): Promise<number[]> => {
    const temporal = { testFrom: 10, targets: which };
    const { test } = await split(data, {
      windows: "padded",
      strategy: "temporal",
      validation: false,
      temporal,
    });
    return [...test].map(({ target }) => target);
  };
  t.deepEqual(await targets("all"), [3, 4, 5, 9]);
  t.deepEqual(await targets("first"), [3, 9]);
  t.deepEqual(await targets("last"), [5, 9]);
});

test("the moments of shares are order statistics", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.array(fc.integer({ min: -(2 ** 45), max: 2 ** 45 }), { minLength: 3, maxLength: 9 }),
        {
          minLength: 4,
          maxLength: 8,
        },
      ),
      async (unsorted) => {
        const times = unsorted.map((history) => history.sort((a, b) => a - b));
        const data = await open(t, {
          histories: times.map(({ length }) => history(length)),
          times,
        });
        const sorted = times.flat().sort((a, b) => a - b);
        const temporal = { testShare: 0.25, validationShare: 0.25 };
        try {
          const { card } = await split(data, { windows: "padded", strategy: "temporal", temporal });
          t.is(card.decisions.temporal?.testFrom, sorted[Math.floor(0.75 * sorted.length)]);
          t.is(card.decisions.temporal?.validationFrom, sorted[Math.floor(0.5 * sorted.length)]);
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
        }
      },
    ),
    { numRuns: 30 },
  );
});

test("users can be apart", async (t) => {
  const data = await open(t, { histories: Array.from({ length: 40 }, () => history(6)) });
  const options = {
    windows: "padded",
    disjointUsers: { testShare: 0.25, validationShare: 0.1, seed: 3 },
  } as const;
  const { train, validation, test } = await split(data, options);
  const usersOf = (windows: Windows): Set<number> => new Set([...windows].map(({ user }) => user));
  const sets = [usersOf(train), usersOf(validation!), usersOf(test)];
  t.deepEqual(
    sets.map(({ size }) => size),
    [26, 4, 10],
  );
  t.is(new Set(sets.flatMap((set) => [...set])).size, 40);
  const other = await split(data, {
    ...options,
    disjointUsers: { ...options.disjointUsers, seed: 4 },
  });
  t.notDeepEqual([...test], [...other.test]);
  const wider = await split(data, {
    ...options,
    disjointUsers: { ...options.disjointUsers, testShare: 0.5 },
  });
  for (const user of usersOf(test)) t.true(usersOf(wider.test).has(user));
});

test("the card counts ties, cold targets and overlap", async (t) => {
  const data = await open(t, {
    // The target of the first user is no item of training; the last two events of the second are tied.
    histories: [
      [0, 1, 2, 9],
      [0, 1, 2, 1],
    ],
    times: [
      [1, 2, 3, 4],
      [1, 2, 50, 50],
    ],
    titles: Array.from({ length: 10 }, () => undefined),
  });
  const { card } = await split(data, { windows: "padded", validation: false });
  t.like(card.test, { windows: 2, users: 2, tiedTargets: 1, coldTargets: 1 });
  t.like(card.train, {
    windows: 4,
    coldTargets: 0,
    tiedTargets: 1,
    from: "1970-01-01T00:00:00.002Z",
  });
  t.true(card.periodsOverlap);
  t.is(card.data.fingerprint, data.fingerprint);
});

test("the fingerprint follows every decision and the data", async (t) => {
  const content = { histories: [history(8), history(8)] };
  const data = await open(t, content);
  const again = await open(t, content);
  const other = await open(t, { histories: [history(8), [...history(7), 0]] });
  const of = async (data: PreparedData, options: SplitOptions = {}) =>
    (await split(data, { windows: "padded", ...options })).card.fingerprint;
  const first = await of(data);
  t.is(await of(again), first);
  t.is(await of(data, { length: 50 }), first);
  const others = [
    await of(other),
    await of(data, { length: 49 }),
    await of(data, { windows: "full", length: 3 }),
    await of(data, { validation: false }),
    await of(data, { stride: 2 }),
    await of(data, { disjointUsers: { testShare: 0.5, validationShare: 0 } }),
  ];
  t.is(new Set([first, ...others]).size, 1 + others.length);
});

test("a stride thins training only", async (t) => {
  const data = await open(t, { histories: [history(12)] });
  const { train, validation, test } = await split(data, { length: 2, stride: 3 });
  t.deepEqual(
    [...train].map(({ target }) => target),
    [3, 6, 9],
  );
  t.deepEqual(
    [...validation!].map(({ target }) => target),
    [10],
  );
  t.deepEqual(
    [...test].map(({ target }) => target),
    [11],
  );
});

test("options that make no sense are refused", async (t) => {
  const data = await open(t, { histories: [history(8)] });
  const positions = await open(t, { histories: [history(8)], clock: "position" });
  const refusals: [SplitOptions, RegExp][] = [
    [{ length: 0 }, /length must be a whole number from 1 to 65536, got 0/],
    [{ length: 2.5 }, /length must be a whole number/],
    [{ windows: "half" as "full" }, /windows must be "full" or "padded", got "half"/],
    [{ minHistory: 1 }, /minHistory must be/],
    [{ stride: 0 }, /stride must be/],
    [{ temporal: { testShare: 0.1 } }, /"temporal" is of the strategy "temporal"/],
    [
      { strategy: "temporal", temporal: { testShare: 0.6, validationShare: 0.6 } },
      /together below 1/,
    ],
    [
      { strategy: "temporal", temporal: { testFrom: "next week" } },
      /testFrom must be a moment, got next week/,
    ],
    [
      { strategy: "temporal", temporal: { testFrom: 3, validationFrom: 3 } },
      /must be before the test/,
    ],
    [
      { strategy: "temporal", validation: false, temporal: { validationFrom: 3 } },
      /validation is false/,
    ],
    [{ disjointUsers: { testShare: 0 } }, /shares of disjointUsers must be above 0/],
  ];
  for (const [options, message] of refusals) {
    await t.throwsAsync(split(data, options), { instanceOf: UsageError, message });
  }
  await t.throwsAsync(split(positions, { strategy: "temporal" }), {
    instanceOf: UsageError,
    message: /has positions/,
  });
  await t.throwsAsync(split(data), {
    instanceOf: DataError,
    message: /no train window with windows: "full", length 50.*longest history has 8 events/,
  });
  const abort = new Error("enough");
  const aborted = split(data, { windows: "padded", signal: AbortSignal.abort(abort) });
  t.is(await t.throwsAsync(aborted), abort);
});
