import test from "ava";
import fc from "fast-check";
import { Windows } from "../../../src/data/windows/windows.js";
import { UsageError } from "../../../src/errors.js";

/** Runs of targets, one a user: events before the first target, targets, events after the last. */
const users = fc.array(fc.tuple(fc.nat(4), fc.nat(5), fc.nat(3)), { maxLength: 12 });

function windowsOf(
  runs: readonly (readonly [number, number, number])[],
  length: number,
  stride: number,
) {
  const starts = new Float64Array(runs.length + 1);
  const first = new Float64Array(runs.length);
  const cumulative = new Float64Array(runs.length + 1);
  const naive: { user: number; start: number; target: number }[] = [];
  for (const [user, [before, targets, after]] of runs.entries()) {
    const start = starts[user]!;
    starts[user + 1] = start + before + targets * stride + after;
    first[user] = start + before;
    cumulative[user + 1] = cumulative[user]! + targets;
    for (let i = 0; i < targets; i++) {
      const target = start + before + i * stride;
      naive.push({ user, start: Math.max(start, target - length), target });
    }
  }
  return { windows: new Windows({ length, starts, first, cumulative, stride }), naive };
}

test("windows are what their runs say, by index, by range and in order", (t) => {
  fc.assert(
    fc.property(
      users,
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 3 }),
      (runs, length, stride) => {
        const { windows, naive } = windowsOf(runs, length, stride);
        t.is(windows.count, naive.length);
        t.deepEqual([...windows], naive);
        for (const [i, expected] of naive.entries()) t.deepEqual(windows.at(i), expected);
        for (const from of naive.keys()) {
          t.deepEqual([...windows.range(from, from + 3)], naive.slice(from, from + 3));
        }
        t.is(windows.usersWithWindows, new Set(naive.map(({ user }) => user)).size);
      },
    ),
  );
});

test("filtering by users leaves the windows of those users", (t) => {
  fc.assert(
    fc.property(users, (runs) => {
      const { windows, naive } = windowsOf(runs, 3, 1);
      const isEven = (user: number): boolean => user % 2 === 0;
      t.deepEqual(
        [...windows.filterUsers(isEven)],
        naive.filter(({ user }) => isEven(user)),
      );
    }),
  );
});

test("an index that is not one of the windows is refused", (t) => {
  const { windows } = windowsOf([[1, 2, 0]], 3, 1);
  for (const index of [-1, 2, 0.5, Number.NaN]) {
    t.throws(() => windows.at(index), {
      instanceOf: UsageError,
      message: `window ${index} is not one of 2`,
    });
  }
  t.throws(() => windowsOf([], 3, 1).windows.at(0), { instanceOf: UsageError });
});
