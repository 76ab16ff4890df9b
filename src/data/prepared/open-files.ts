/** The files of a prepared folder as they are opened: checked, then mapped. */
import { lstat, readFile } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "../../errors.js";
import type { Feature } from "../feature.js";
import type { Manifest, PreparedFile } from "../manifest.js";
import { type ArrowColumn, type ExpectedColumn, readArrowTable } from "./arrow-table.js";
import { mapFile, unmapFile } from "./map-file.js";
import { parseManifest, vocabularyFile } from "./read-manifest.js";

const largestManifest = 64 * 2 ** 20; // bytes

/** @throws DataError when there is no manifest in the folder or it is not valid */
export async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, "manifest.json");
  const bytes = await regularFileSize(
    path,
    `${folder}: not a prepared data set, it has no manifest.json`,
  );
  if (bytes > largestManifest) {
    throw new DataError(
      `${path}: it has ${bytes} bytes, a manifest has at most ${largestManifest}`,
    );
  }
  return parseManifest(path, await readFile(path, "utf8"));
}

/** A mapped file and the columns in it. */
export interface PreparedTable {
  readonly file: ArrayBuffer;
  readonly columns: ReadonlyMap<string, ArrowColumn>;
}

/**
 * Maps the files of a folder.
 *
 * @returns the tables by the names of their files
 */
export async function openTables(
  folder: string,
  { files, features, clock }: Manifest,
): Promise<ReadonlyMap<string, PreparedTable>> {
  const expected = new Map([
    ["items.arrow", schemas.items(features)],
    ["users.arrow", schemas.users()],
    ["events.arrow", schemas.events(features, clock.kind)],
  ]);
  for (const feature of features) {
    if (feature.kind !== "text")
      expected.set(vocabularyFile(feature.name), schemas.vocabulary(feature));
  }
  const tables = new Map<string, PreparedTable>();
  try {
    for (const file of files)
      tables.set(file.name, await openTable(folder, file, expected.get(file.name)!));
  } catch (error) {
    closeTables(tables);
    throw error;
  }
  return tables;
}

export function closeTables(tables: ReadonlyMap<string, PreparedTable>): void {
  for (const { file } of tables.values()) unmapFile(file);
}

/** Maps a file and finds its columns, touching no more than the metadata and the ends of offsets. */
export async function openTable(
  folder: string,
  { name, rows, bytes }: PreparedFile,
  expected: readonly ExpectedColumn[],
): Promise<PreparedTable> {
  const path = join(folder, name);
  const checkSize = (found: number): void => {
    if (found === bytes) return;
    throw new DataError(
      `${path}: it has ${found} bytes, the manifest says ${bytes}; it was cut or changed`,
    );
  };
  // Before mapping: a page that the file no longer has would end the process.
  checkSize(await regularFileSize(path, `${path}: the manifest names it, but it is not there`));
  const file = mapFile(path);
  try {
    checkSize(file.byteLength);
    return { file, columns: readArrowTable(path, file, rows, expected) };
  } catch (error) {
    unmapFile(file);
    throw error;
  }
}

/** Bytes of a file that is neither a link, which may lead out of the folder, nor a pipe. */
async function regularFileSize(path: string, missing: string): Promise<number> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    const gone = error.code === "ENOENT" || error.code === "ENOTDIR";
    throw new DataError(gone ? missing : `${path}: ${error.message}`, { cause: error });
  });
  if (!found.isFile())
    throw new DataError(`${path}: must be a file itself, not a link or a folder`);
  return found.size;
}

/** The columns of each file, in their order. */
export const schemas = {
  items: (features: readonly Feature[]): ExpectedColumn[] => [
    { name: "id", type: "name" },
    { name: "title", type: "name", nullable: true },
    { name: "events", type: "int64" },
    ...features.filter(({ of }) => of === "item").map(featureColumn),
  ],
  users: (): ExpectedColumn[] => [
    { name: "id", type: "name" },
    { name: "offset", type: "int64" },
    { name: "length", type: "int32" },
  ],
  events: (features: readonly Feature[], clock: "time" | "position"): ExpectedColumn[] => [
    { name: "item", type: "int32" },
    { name: clock, type: clock === "time" ? "timestamp" : "int64" },
    ...features.filter(({ of }) => of === "event").map(featureColumn),
  ],
  vocabulary: ({ kind }: Feature): ExpectedColumn[] => [
    { name: "value", type: kind === "ordinal" ? "float64" : "name" },
    { name: "count", type: "int64" },
  ],
};

function featureColumn({ name, kind }: Feature): ExpectedColumn {
  return { name, type: kind === "bag" || kind === "text" ? kind : "int32" };
}
