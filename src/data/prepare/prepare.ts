import { join } from "node:path";
import type { LongCall } from "../../progress.js";
import type { Manifest } from "../manifest.js";
import type { Source } from "../source.js";
import { collect } from "./collect.js";
import type { Collected } from "./collected.js";
import { fileSpool } from "./file-spool.js";
import { memorySorter } from "./memory-sorter.js";
import { partialFolder } from "./partial-folder.js";
import type { ErrorPolicy } from "./problems.js";
import { writePrepared } from "./write-prepared.js";

export interface PrepareOptions extends LongCall {
  /** Folder to make. */
  out: string;
  /** Whether prepared data that is there already is replaced; nothing else ever is. Default: false. */
  overwrite?: boolean | undefined;
  /** Rows that cannot be read: `fail` (default) stops at the first, `skip` leaves them out, counts and reports them. */
  onError?: ErrorPolicy | undefined;
  /** Bytes that sorting may take. */
  memoryLimit?: number | undefined;
}

/**
 * Turns a source into a folder of prepared data: encodes, sorts by user, time and row of the source, and writes the files
 * that `PreparedData.open` maps. The folder appears whole or not at all, and its bytes hang on the source alone.
 *
 * @returns the manifest of the folder
 * @throws DataError when a row cannot be read, no row is left, or `out` holds something else
 */
export async function prepare(source: Source, options: PrepareOptions): Promise<Manifest> {
  const { out, overwrite, onError, onProgress, signal } = options;
  signal?.throwIfAborted();
  const folder = await partialFolder(out, { overwrite });
  try {
    const collected = await collect(source, {
      onError,
      onProgress,
      signal,
      openSorter: async (columns) => memorySorter(columns, options),
      openSpool: (kind, feature) => fileSpool(join(folder.scratch, `${feature}.spool`), kind),
    });
    const manifest = await closing(collected, () =>
      writePrepared(folder.data, source, collected, { onProgress, signal }),
    );
    signal?.throwIfAborted();
    await folder.commit();
    return manifest;
  } finally {
    await folder.abandon();
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
