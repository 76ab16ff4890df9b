/**
 * One piece of work of `bench -- data`, in a process of its own, so that the peak of memory is its own too:
 *
 *     node --import=tsx --expose-gc bench/data-work.ts prepareInMemory '{"raw":"...", ...}'
 *
 * It writes its figures to stdout as JSON.
 */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";

/** What every piece of work is told. */
export interface Given {
  /** Folder with the raw csv files. */
  readonly raw: string;
  /** Folder with the prepared set; `prepare...` make it. */
  readonly prepared: string;
  readonly preset: "ml-1m" | "ml-20m";
}

/** Numbers by name; the units are in the names. */
export type Figures = Record<string, number>;

export type WorkName = keyof typeof works;

const windowLength = 50;
const batchSize = 128; // windows
const loaderSeconds = 8;

export const works = {
  /** MovieLens orders a user's rows by film, so that there is something to sort. */
  async generate({ raw, preset }: Given): Promise<Figures> {
    const { writeSynthetic } = await import("../src/data/index.js");
    return {
      seconds: await secondsOf(() =>
        writeSynthetic(raw, { preset, seed: 7, rowOrder: "item", oracleUsers: 0 }),
      ),
    };
  },

  async readFile(given: Given): Promise<Figures> {
    return overBlocks(given, () => {});
  },

  async countLines(given: Given): Promise<Figures> {
    let lines = 0;
    const figures = await overBlocks(given, (block) => {
      for (let at = block.indexOf(10); at >= 0; at = block.indexOf(10, at + 1)) lines++;
    });
    return { ...figures, lines };
  },

  async hashFile(given: Given): Promise<Figures> {
    const hash = createHash("sha256");
    return overBlocks(given, (block) => hash.update(block));
  },

  async prepareInMemory(given: Given): Promise<Figures> {
    return prepareWith("memory", given);
  },

  async prepareInDuckDB(given: Given): Promise<Figures> {
    return prepareWith("duckdb", given);
  },

  async open({ prepared }: Given): Promise<Figures> {
    const begin = performance.now();
    const { PreparedData } = await import("../src/data/prepared/prepared-data.js");
    const importMs = performance.now() - begin;
    const openings: number[] = [];
    for (let i = 0; i < 20; i++) {
      const begin = performance.now();
      const data = await PreparedData.open(prepared);
      openings.push(performance.now() - begin);
      data.close();
    }
    const [firstMs, ...later] = openings as [number, ...number[]];
    return { importMs, firstMs, laterMs: later.sort((a, b) => a - b)[later.length >> 1]! };
  },

  async split({ prepared }: Given): Promise<Figures> {
    const { PreparedData } = await import("../src/data/prepared/prepared-data.js");
    const { split } = await import("../src/data/windows/split.js");
    const data = await PreparedData.open(prepared);
    const before = heldBytes();
    const begin = performance.now();
    const { train, test } = await split(data, { length: windowLength, validation: false });
    const seconds = (performance.now() - begin) / 1e3;
    return {
      seconds,
      windows: train.count,
      tests: test.count,
      heldMB: (heldBytes() - before) / 1e6,
    };
  },

  async loadPadded(given: Given): Promise<Figures> {
    return load(given, "padded");
  },

  async loadRagged(given: Given): Promise<Figures> {
    return load(given, "ragged");
  },
};

/** Windows a second, shuffled, with items, ratings and genres, and their targets. */
async function load({ prepared }: Given, layout: "padded" | "ragged"): Promise<Figures> {
  const { PreparedData } = await import("../src/data/prepared/prepared-data.js");
  const { split } = await import("../src/data/windows/split.js");
  const { Loader } = await import("../src/data/loader/loader.js");
  const data = await PreparedData.open(prepared);
  const { train } = await split(data, { length: windowLength, validation: false });
  const loader = new Loader(data, train, { batchSize, layout, shuffle: true, epochs: Infinity });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  let windows = 0;
  let begin = performance.now();
  let warm = false;
  for await (const batch of loader) {
    windows += batch.size;
    const seconds = (performance.now() - begin) / 1e3;
    if (!warm && seconds > 1) {
      warm = true;
      windows = 0;
      begin = performance.now();
      delay.enable();
    } else if (seconds > loaderSeconds) break;
  }
  const seconds = (performance.now() - begin) / 1e3;
  return { windowsPerSecond: windows / seconds, longestDelayMs: delay.max / 1e6 };
}

/** Csv to a prepared folder; DuckDB gets its 512 MiB. */
async function prepareWith(
  sorter: "memory" | "duckdb",
  { raw, prepared }: Given,
): Promise<Figures> {
  const { movielens, prepare } = await import("../src/data/index.js");
  let bytes = "";
  const figures = await withDelay(async () => {
    const { files } = await prepare(await movielens(raw), { out: prepared, sorter });
    bytes = files.map(({ sha256 }) => sha256).join();
  });
  // Of numbers only: equal folders give equal ones.
  return {
    ...figures,
    fingerprint: Number.parseInt(createHash("sha256").update(bytes).digest("hex").slice(0, 12), 16),
  };
}

async function withDelay(work: () => Promise<void>): Promise<Figures> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const seconds = await secondsOf(work);
  delay.disable();
  const { user, system } = process.cpuUsage();
  const processorSeconds = (user + system) / 1e6;
  return {
    seconds,
    processorSeconds,
    delayP99Ms: delay.percentile(99) / 1e6,
    longestDelayMs: delay.max / 1e6,
  };
}

/** Reads ratings.csv as a reader would. */
async function overBlocks({ raw }: Given, take: (block: Buffer) => void): Promise<Figures> {
  const file: FileHandle = await open(join(raw, "ratings.csv"));
  const block = Buffer.allocUnsafe(1 << 20);
  let bytes = 0;
  const seconds = await secondsOf(async () => {
    for (;;) {
      const { bytesRead } = await file.read(block, 0, block.length);
      if (bytesRead === 0) return;
      bytes += bytesRead;
      take(block.subarray(0, bytesRead));
    }
  });
  await file.close();
  return { seconds, gigabytesPerSecond: bytes / seconds / 1e9 };
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1e3;
}

/** What lives in this process outside mapped files. */
function heldBytes(): number {
  globalThis.gc!();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const [, , name, given] = process.argv;
const figures = await works[name as WorkName](JSON.parse(given!) as Given);
const peakMB = (process.resourceUsage().maxRSS * 1024) / 1e6;
process.stdout.write(JSON.stringify({ ...figures, peakMB }));
