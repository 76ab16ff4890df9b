import { deepStrictEqual } from "node:assert/strict";
import test from "ava";
import fc from "fast-check";
import { memorySorter } from "../../../src/data/sort/memory-sorter.js";
import { DataError, UsageError } from "../../../src/errors.js";
import { anyEvents, drain, fill, naiveOrder } from "./sorter.js";

for (const columns of [0, 1, 2, 5]) {
  test(`sorts as a naive stable sort does, with ${columns} columns`, async (t) => {
    await fc.assert(
      fc.asyncProperty(
        anyEvents(columns),
        fc.integer({ min: 1, max: 64 }),
        async (events, rows) => {
          const sorter = memorySorter(columns);
          await fill(sorter, events, rows);
          const order = naiveOrder(events);
          const sorted = await drain(sorter);
          deepStrictEqual(sorted, { rows: order, events: order.map((row) => events[row]!) });
          await sorter.close();
        },
      ),
      { numRuns: 60 },
    );
    t.pass();
  });
}

// Enough for several pieces of the store, several blocks, and users that are sorted by merging with pauses.
const shapes: Record<string, (row: number, random: () => number) => [user: number, time: number]> =
  {
    "one user, packed keys": (_, random) => [0, Math.floor(random() * 1000)],
    "one user over the whole range of times": (_, random) => [
      0,
      Math.floor((random() - 0.5) * 2 ** 53) * 2,
    ],
    "one user in order": (row) => [0, Math.floor(row / 3)],
    "one user in falling order": (row) => [0, -row],
    "users scattered": (_, random) => [
      Math.floor(random() ** 3 * 20_000),
      Math.floor(random() * 6.3e11),
    ],
    "one large among many": (_, random) => [
      Math.max(0, Math.floor(random() * 200) - 100),
      Math.floor(random() * 6.3e8) * 1000,
    ],
  };

for (const [name, shape] of Object.entries(shapes)) {
  test(`sorts 300 000 events: ${name}`, async (t) => {
    const rows = 300_000;
    const random = lcg();
    const user = new Int32Array(rows);
    const time = new Float64Array(rows);
    for (let row = 0; row < rows; row++) [user[row]!, time[row]!] = shape(row, random);
    const sorter = memorySorter(1);
    await sorter.append({ rows, user, time, columns: [Int32Array.from(user.keys())] });

    let last = -1;
    let seen = 0;
    for await (const block of sorter.sorted()) {
      for (let i = 0; i < block.rows; i++, seen++) {
        const row = block.sourceRow[i]!;
        const whole =
          block.columns[0]![i] === row &&
          block.user[i] === user[row] &&
          block.time[i] === time[row];
        if (!whole) t.fail(`row ${row} came back as another`);
        const follows =
          last === -1 ||
          user[row]! > user[last]! ||
          (user[row] === user[last] &&
            (time[row]! > time[last]! || (time[row] === time[last] && row > last)));
        if (!follows) t.fail(`row ${row} follows row ${last}`);
        last = row;
      }
    }
    // In strict order, so as many as there are rows means each once.
    t.is(seen, rows);
  });
}

test("gives blocks of equal size, the last one shorter", async (t) => {
  const sorter = memorySorter(0);
  const events = Array.from({ length: 150_000 }, (_, i) => ({
    user: i % 7,
    time: -i,
    columns: [],
  }));
  await fill(sorter, events, 999);
  const sizes: number[] = [];
  for await (const { rows } of sorter.sorted()) sizes.push(rows);
  t.deepEqual(sizes, [65_536, 65_536, 18_928]);
});

test.serial("leaves the event loop free while it sorts", async (t) => {
  const rows = 1_000_000;
  const random = lcg();
  const user = new Int32Array(rows);
  const time = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    user[row] = random() < 0.5 ? 0 : 1 + Math.floor(random() * 1000);
    time[row] = Math.floor((random() - 0.5) * 2 ** 50);
  }
  const sorter = memorySorter(0);
  await sorter.append({ rows, user, time, columns: [] });
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const before = process.cpuUsage();
  for await (const _ of sorter.sorted());
  const used = process.cpuUsage(before);
  clearInterval(timer);
  // Time on the processor, since pauses of the clock depend on what else the machine does.
  const microseconds = used.user + used.system;
  t.true(turns >= microseconds / 50_000, `${turns} turns in ${microseconds} µs`);
});

test("says that events do not fit in memory, and what to do", async (t) => {
  const sorter = memorySorter(2, { memoryLimit: 10 * 2 ** 20 });
  const events = Array.from({ length: 300_000 }, () => ({ user: 0, time: 0, columns: [0, 0] }));
  const error = await t.throwsAsync(fill(sorter, events, 50_000), { instanceOf: DataError });
  t.regex(
    error!.message,
    /more than 250000 events do not fit in 10 MiB; DuckDB sorts any number of them: npm install/,
  );
  await sorter.close();
});

test("gives one pass", async (t) => {
  const sorter = memorySorter(0);
  t.deepEqual(await drain(sorter), { rows: [], events: [] });
  t.throws(() => sorter.sorted(), { instanceOf: UsageError });
  await t.throwsAsync(fill(sorter, [{ user: 0, time: 0, columns: [] }], 1), {
    instanceOf: UsageError,
  });
});

function lcg(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
