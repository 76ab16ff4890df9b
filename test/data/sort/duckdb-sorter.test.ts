import { deepStrictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import fc from "fast-check";
import { autoSorter } from "../../../src/data/sort/auto-sorter.js";
import { duckdbSorter } from "../../../src/data/sort/duckdb-sorter.js";
import { memorySorter } from "../../../src/data/sort/memory-sorter.js";
import { sortedBlockRows } from "../../../src/data/sort/sorted-block.js";
import type { EventBlock, EventSorter } from "../../../src/data/sort/sorter.js";
import { fillVector, readVector } from "../../../src/data/sort/vector-items.js";
import { writePrepared } from "../../../src/data/write/write-prepared.js";
import { DataError, UsageError } from "../../../src/errors.js";
import { program } from "../../environment/program.js";
import { closeCollected, collectedOf, source } from "../write/collected.js";
import { mayMount, mountSmallDisk } from "../write/small-disk.js";
import { anyEvents, drain, fill, naiveOrder } from "./sorter.js";

const folder = await mkdtemp(join(tmpdir(), "user-llm-duckdb-"));
test.after.always(() => rm(folder, { recursive: true }));
let folders = 0;
async function ownFolder(): Promise<string> {
  const path = join(folder, `${folders++}`);
  await mkdir(path);
  return path;
}

for (const columns of [0, 2, 5]) {
  test(`sorts as a naive stable sort does, with ${columns} columns`, async (t) => {
    await fc.assert(
      fc.asyncProperty(
        anyEvents(columns),
        fc.integer({ min: 1, max: 64 }),
        async (events, rows) => {
          const sorter = await duckdbSorter(columns, { folder: await ownFolder() });
          await fill(sorter, events, rows);
          const order = naiveOrder(events);
          const sorted = await drain(sorter);
          await sorter.close();
          deepStrictEqual(sorted, { rows: order, events: order.map((row) => events[row]!) });
        },
      ),
      { numRuns: 10 },
    );
    t.pass();
  });
}

test("gives the blocks of the sort in memory, from more events than it may keep", async (t) => {
  const own = await ownFolder();
  const rows = 2_000_000;
  const outOfCore = await duckdbSorter(2, { folder: own, memoryLimit: 64 * 2 ** 20, threads: 2 });
  const inMemory = memorySorter(2);
  for (const sorter of [outOfCore, inMemory]) await appendRandom(sorter, rows);
  let spilled = 0;
  const watched: EventSorter = {
    ...inMemory,
    sorted: async function* () {
      for await (const block of outOfCore.sorted()) {
        spilled = Math.max(spilled, (await readdir(own, { recursive: true })).length);
        yield block;
      }
    },
  };
  t.is(await digest(watched), await digest(inMemory));
  t.true(spilled > 1, "nothing went to temporary files");
  await outOfCore.close();
  t.deepEqual(await readdir(own), []);
});

test("takes over from memory when that is full", async (t) => {
  const own = await ownFolder();
  const sorter = autoSorter(2, { folder: own, memoryLimit: 64 * 2 ** 20, threads: 2 });
  const inMemory = memorySorter(2);
  for (const each of [sorter, inMemory]) await appendRandom(each, 3_000_000);
  t.true((await readdir(own)).length > 0);
  t.is(await digest(sorter), await digest(inMemory));
  await sorter.close();
  t.deepEqual(await readdir(own), []);
});

test("stays in memory while there is room", async (t) => {
  const own = await ownFolder();
  const sorter = autoSorter(2, { folder: own, memoryLimit: 48 * 2 ** 20 });
  const inMemory = memorySorter(2);
  for (const each of [sorter, inMemory]) await appendRandom(each, 1_000_000);
  t.deepEqual(await readdir(own), []);
  t.is(await digest(sorter), await digest(inMemory));
  await sorter.close();
});

test("gives the bytes of the sort in memory", async (t) => {
  const written: string[] = [];
  const sorters = [memorySorter(2), await duckdbSorter(2, { folder: await ownFolder() })];
  for (const sorter of sorters) {
    const out = await ownFolder();
    const collected = await collectedOf(await ownFolder(), sorter);
    await writePrepared(out, source, collected);
    await closeCollected(collected);
    written.push(out);
  }
  const [first, second] = written as [string, string];
  t.deepEqual(await readdir(first), await readdir(second));
  for (const name of await readdir(first)) {
    t.deepEqual(await readFile(join(first, name)), await readFile(join(second, name)), name);
  }
});

test.serial("stops at once when it is closed while it sorts", async (t) => {
  const own = await ownFolder();
  const sorter = await duckdbSorter(2, { folder: own });
  await appendRandom(sorter, 4_000_000);
  const first = sorter.sorted()[Symbol.asyncIterator]().next();
  const failed = t.throwsAsync(first, { instanceOf: DataError, message: /INTERRUPT/ });
  await sorter.close();
  await failed;
  await sorter.close();
  t.deepEqual(await readdir(own), []);
});

test("may be left in the middle, or before anything came", async (t) => {
  const own = await ownFolder();
  await (await duckdbSorter(0, { folder: own })).close();
  const sorter = await duckdbSorter(2, { folder: own });
  await appendRandom(sorter, 3 * sortedBlockRows);
  for await (const { rows } of sorter.sorted()) {
    t.is(rows, sortedBlockRows);
    break;
  }
  await sorter.close();
  t.deepEqual(await readdir(own), []);
});

test("gives one pass", async (t) => {
  const sorter = await duckdbSorter(0, { folder: await ownFolder() });
  t.deepEqual(await drain(sorter), { rows: [], events: [] });
  t.throws(() => sorter.sorted(), { instanceOf: UsageError });
  await t.throwsAsync(fill(sorter, [{ user: 0, time: 0, columns: [] }], 1), {
    instanceOf: UsageError,
  });
  await sorter.close();
});

test("says what to install when DuckDB is not there", async (t) => {
  const { stdout } = await program(`
    import { register } from "node:module";
    const hook = "export const resolve = (name, context, next) => " +
      "name === '@duckdb/node-api' ? Promise.reject(new Error('not there')) : next(name, context);";
    register("data:text/javascript," + encodeURIComponent(hook));
    const { autoSorter } = await import("./src/data/sort/auto-sorter.ts");
    const { duckdbSorter } = await import("./src/data/sort/duckdb-sorter.ts");
    const options = { folder: ".", memoryLimit: 1 };
    const print = ({ name, message }) => console.log(name, message);
    await duckdbSorter(0, options).catch(print);
    const block = { rows: 1, user: new Int32Array(1), time: new Float64Array(1), columns: [] };
    await autoSorter(0, options).append(block).catch(print);
  `);
  const [duckdb, auto] = stdout.split("\n");
  t.regex(
    auto!,
    /^DataError sorting in memory: more than 0 events do not fit in 0 MiB; DuckDB sorts any number/,
  );
  t.is(
    duckdb,
    "ConfigError sorting with DuckDB needs the package @duckdb/node-api, which is not installed or " +
      "does not load here; run: npm install @duckdb/node-api",
  );
});

test("says that its memory is too little", async (t) => {
  const own = await ownFolder();
  await t.throwsAsync(
    async () => {
      const sorter = await duckdbSorter(2, { folder: own, memoryLimit: 2 ** 20, threads: 2 });
      try {
        await appendRandom(sorter, 1_000_000);
        for await (const _ of sorter.sorted());
      } finally {
        await sorter.close();
      }
    },
    {
      instanceOf: DataError,
      message: "sorting with DuckDB: 1 MiB of memory are too few; raise the memory limit",
    },
  );
});

(mayMount(folder) ? test : test.skip)("says that the disk is full", async (t) => {
  const own = await ownFolder();
  const unmount = mountSmallDisk(own, 8 << 20);
  const sorter = await duckdbSorter(2, { folder: own, memoryLimit: 64 * 2 ** 20, threads: 2 });
  await t.throwsAsync(
    async () => {
      await appendRandom(sorter, 3_000_000);
      for await (const _ of sorter.sorted());
    },
    {
      instanceOf: DataError,
      message: `sorting with DuckDB: no space is left on the disk for temporary files in ${own}`,
    },
  );
  await sorter.close();
  unmount();
  t.deepEqual(await readdir(own), []);
});

test("vectors whose array cannot be had are filled and read by their accessors", (t) => {
  const stored: (number | null)[] = [];
  let flushes = 0;
  const vector = {
    setItem: (i: number, value: number) => {
      stored[i] = value;
    },
    getItem: (i: number) => stored[i],
    flush: () => flushes++,
  };
  // Only what the functions may use of a vector.
  const asVector = vector as unknown as Parameters<typeof fillVector>[0];
  fillVector(asVector, Int32Array.of(4, -5, 6));
  t.deepEqual(stored, [4, -5, 6]);
  t.is(flushes, 1);
  const into = new Int32Array(4);
  readVector(asVector, 1, 3, into, 2);
  t.deepEqual([...into], [0, 0, -5, 6]);
});

/** Of all that a sorter gives, and the sizes of its blocks. */
async function digest(sorter: EventSorter): Promise<string> {
  const hash = createHash("sha256");
  for await (const { rows, user, time, sourceRow, columns } of sorter.sorted()) {
    hash.update(`${rows} rows`);
    for (const array of [user, time, sourceRow, ...columns]) hash.update(array.subarray(0, rows));
  }
  return hash.digest("hex");
}

/** Users and times scattered over their ranges, the same for every sorter. */
async function appendRandom(sorter: EventSorter, rows: number): Promise<void> {
  const size = 50_000;
  const block: EventBlock = {
    rows: size,
    user: new Int32Array(size),
    time: new Float64Array(size),
    columns: [new Int32Array(size), new Int32Array(size)],
  };
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  for (let start = 0; start < rows; start += size) {
    block.rows = Math.min(size, rows - start);
    for (let i = 0; i < block.rows; i++) {
      block.user[i] = random() * 20_000;
      block.time[i] = Math.floor(random() * 1e5) * 1000;
      block.columns[0]![i] = start + i;
      block.columns[1]![i] = -1;
    }
    await sorter.append(block);
  }
}
