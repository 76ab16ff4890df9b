import { join } from "node:path";
import { UsageError } from "../errors.js";
import type { LongCall } from "../progress.js";
import { collect } from "./collect/collect.js";
import type { Collected } from "./collect/collected.js";
import type { ErrorPolicy } from "./collect/problems.js";
import type { Manifest } from "./manifest.js";
import { autoSorter } from "./sort/auto-sorter.js";
import { duckdbSorter } from "./sort/duckdb-sorter.js";
import { fileSpool } from "./sort/file-spool.js";
import { memorySorter } from "./sort/memory-sorter.js";
import type { EventSorter } from "./sort/sorter.js";
import type { Source } from "./source.js";
import { partialFolder } from "./write/partial-folder.js";

/** Below it DuckDB does not even take the rows. */
const leastMemory = 64 * 2 ** 20; // bytes

/** What {@link prepare} is told. */
export interface PrepareOptions extends LongCall {
  /** Folder to make. */
  out: string;
  /** Whether prepared data that is there already is replaced; nothing else ever is. Default: false. */
  overwrite?: boolean | undefined;
  /** Rows that cannot be read: `fail` (default) stops at the first, `skip` leaves them out, counts and reports them. */
  onError?: ErrorPolicy | undefined;
  /**
   * What sorts the events: typed arrays in `memory`, `duckdb` in 512 MiB and temporary files beside `out`, or `auto`
   * (default): DuckDB where the memory limit does not do. The folder comes out the same to the byte.
   */
  sorter?: "auto" | "memory" | "duckdb" | undefined;
  /** Bytes that sorting may take, from 64 MiB. Default: what the machine or its container has; for DuckDB 512 MiB. */
  memoryLimit?: number | undefined;
}

/**
 * Turns a source into a folder of prepared data: encodes, sorts by user, time and row of the source, and writes the files
 * that `PreparedData.open` maps. The folder appears whole or not at all, and its bytes depend on the source alone.
 *
 * @returns the manifest of the folder
 * @throws DataError when a row cannot be read, no row is left, or `out` holds something else
 * @throws UsageError when the memory limit is too low
 */
export const prepare = (source: Source, options: PrepareOptions): Promise<Manifest> =>
  prepareWith(source, options, async () => {});

/** As {@link prepare}; `finish` may put more into the folder before it appears. */
export async function prepareWith(
  source: Source,
  options: PrepareOptions,
  finish: (folder: string) => Promise<void>,
): Promise<Manifest> {
  const { out, overwrite, onError, onProgress, signal } = options;
  signal?.throwIfAborted();
  checkMemoryLimit(options.memoryLimit);
  const folder = await partialFolder(out, { overwrite });
  try {
    const collected = await collect(source, {
      onError,
      onProgress,
      signal,
      openSorter: (columns) => openSorter(columns, folder.scratch, options),
      openSpool: (kind, feature) => fileSpool(join(folder.scratch, `${feature}.spool`), kind),
    });
    const manifest = await closing(collected, async () => {
      // Only here, since it brings apache-arrow, which takes longer to load than all the rest.
      const { writePrepared } = await import("./write/write-prepared.js");
      return writePrepared(folder.data, source, collected, { onProgress, signal });
    });
    await finish(folder.data);
    signal?.throwIfAborted();
    await folder.commit();
    return manifest;
  } finally {
    await folder.abandon();
  }
}

function checkMemoryLimit(bytes: number | undefined): void {
  if (bytes === undefined || bytes >= leastMemory) return;
  throw new UsageError(
    `prepare: the memory limit must be at least ${leastMemory / 2 ** 20} MiB, got ${bytes} bytes`,
  );
}

async function openSorter(
  columns: number,
  folder: string,
  { sorter = "auto", memoryLimit }: PrepareOptions,
): Promise<EventSorter> {
  switch (sorter) {
    case "auto":
      return autoSorter(columns, { folder, memoryLimit });
    case "memory":
      return memorySorter(columns, { memoryLimit });
    case "duckdb":
      return await duckdbSorter(columns, { folder, memoryLimit });
  }
}

async function closing<T>({ sorter, spools }: Collected, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    await sorter.close();
    for (const spool of spools.values()) await spool.close();
  }
}
