import { mkdir, open, statfs } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { type Entry, openPromise, type ZipFile } from "yauzl";
import { DataError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import { fileFault, isSystemError } from "../files/file-fault.js";
import { syncPath } from "../files/sync-path.js";
import { writeAt } from "../files/write-at.js";

/** What an archive may hold; more is an attack, or not what was asked for. */
export interface ZipLimits {
  /** Default: 1000. */
  mostFiles?: number | undefined;
  /** Of all files, unpacked. Default: 16 GiB. */
  mostBytes?: number | undefined;
  /** Of unpacked to packed bytes, for files above 1 MiB. Default: 200. */
  mostRatio?: number | undefined;
}

export interface UnzipOptions extends LongCall {
  limits?: ZipLimits | undefined;
}

/** A file of an archive. */
export interface UnzippedFile {
  /** With `/` between folders. */
  readonly name: string;
  readonly bytes: number;
}

/**
 * Unpacks a zip into an empty folder. If all its files are in one folder, that folder is left out. All names and sizes are checked
 * before anything is written.
 *
 * @throws DataError when the archive is damaged, encrypted, larger than the limits, or would write outside the folder
 */
export async function unzip(
  path: string,
  folder: string,
  options: UnzipOptions = {},
): Promise<readonly UnzippedFile[]> {
  const name = basename(path).replace(/\.part$/, "");
  const zip = await asFault(name, () =>
    openPromise(path, { autoClose: false, strictFileNames: true }),
  );
  try {
    const entries = await asFault(name, () => listed(zip));
    const files = checked(name, entries, options.limits ?? {});
    const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    const { bavail, bsize } = await statfs(folder);
    if (total > bavail * bsize) {
      throw new DataError(
        `${name}: unpacks to ${total} bytes, and the disk has ${bavail * bsize} left`,
      );
    }
    const progress = { done: 0, total };
    for (const file of files)
      await extract(zip, name, file, join(folder, file.name), progress, options);
    return files.map(({ name: file, bytes }) => ({ name: file, bytes }));
  } finally {
    zip.close();
  }
}

async function listed(zip: ZipFile): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of zip.eachEntry()) entries.push(entry);
  return entries;
}

interface ZippedFile extends UnzippedFile {
  readonly entry: Entry;
}

/** The files among the entries, under the names they get. */
function checked(name: string, entries: readonly Entry[], limits: ZipLimits): ZippedFile[] {
  const { mostFiles = 1000, mostBytes = 2 ** 34, mostRatio = 200 } = limits;
  const refuse = (why: string) => new DataError(`${name}: ${why}; nothing was unpacked`);
  if (entries.length > mostFiles) {
    throw refuse(`holds ${entries.length} files, more than the ${mostFiles} that are allowed`);
  }
  let total = 0;
  for (const entry of entries) {
    const fault = faultOf(entry, mostRatio);
    if (fault !== undefined) throw refuse(`${JSON.stringify(entry.fileName)} ${fault}`);
    total += entry.uncompressedSize;
  }
  if (total > mostBytes) {
    throw refuse(`unpacks to ${total} bytes, more than the ${mostBytes} that are allowed`);
  }
  const files = entries.filter(({ fileName }) => !fileName.endsWith("/"));
  const names = files.map(({ fileName }) => fileName);
  const clash = clashOf(names);
  if (clash !== undefined) throw refuse(`holds ${JSON.stringify(clash)} twice`);
  const top = commonFolder(names);
  return files.map((entry) => ({
    name: entry.fileName.slice(top.length),
    bytes: entry.uncompressedSize,
    entry,
  }));
}

const unix = 3;
const kindMask = 0o170_000;
const kinds = { none: 0, file: 0o100_000, folder: 0o040_000 };
const stored = 0;
const deflated = 8;
const smallBytes = 2 ** 20;

/** Why an entry is not unpacked. Absolute names, `..` and backslashes do not get so far: yauzl refuses them. */
function faultOf(entry: Entry, mostRatio: number): string | undefined {
  const { fileName, versionMadeBy, externalFileAttributes, compressionMethod } = entry;
  const { compressedSize, uncompressedSize } = entry;
  const kind =
    versionMadeBy >> 8 === unix ? (externalFileAttributes >>> 16) & kindMask : kinds.none;
  if (!Object.values(kinds).includes(kind)) return "is a link or a device";
  if (/[\x00-\x1f\x7f:*?"<>|]/.test(fileName)) return "is a name that not every system takes";
  if (
    fileName
      .replace(/\/$/, "")
      .split("/")
      .some((part) => /^\.*$/.test(part))
  ) {
    return "leads through a folder without a name";
  }
  if (entry.isEncrypted()) return "is encrypted";
  if (compressionMethod !== stored && compressionMethod !== deflated) {
    return `is compressed by method ${compressionMethod}; only deflate is unpacked`;
  }
  if (uncompressedSize > smallBytes && uncompressedSize > mostRatio * compressedSize) {
    return `unpacks ${compressedSize} bytes to ${uncompressedSize}, more than ${mostRatio} times as many`;
  }
  return undefined;
}

/** A name that another one takes too, as some file systems see it, or goes through as a folder. */
function clashOf(names: readonly string[]): string | undefined {
  const taken = new Set<string>();
  for (const name of names) {
    const plain = name.normalize("NFC").toLowerCase();
    if (taken.has(plain)) return name;
    taken.add(plain);
  }
  return names.find((name) => {
    const parts = name.normalize("NFC").toLowerCase().split("/");
    return parts.slice(1).some((_, i) => taken.has(parts.slice(0, i + 1).join("/")));
  });
}

/** `ml-20m/` if every file is in it, else empty. */
function commonFolder(names: readonly string[]): string {
  const [first = ""] = names;
  const top = first.slice(0, first.indexOf("/") + 1);
  return names.every((name) => name.startsWith(top)) ? top : "";
}

async function extract(
  zip: ZipFile,
  archive: string,
  { entry, bytes }: ZippedFile,
  target: string,
  progress: { done: number; readonly total: number },
  { onProgress, signal }: UnzipOptions,
): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const file = await open(target, "wx", 0o644);
  try {
    const stream = await asFault(archive, () => zip.openReadStreamPromise(entry));
    const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    let sum = 0;
    for (let position = 0; ; ) {
      signal?.throwIfAborted();
      const { done, value } = await asFault(archive, () => chunks.next());
      if (done === true) break;
      sum = crc32(value, sum);
      await writeAt(file, value, position);
      position += value.length;
      progress.done += value.length;
      onProgress?.({ task: `unpacking ${archive}`, ...progress, unit: "bytes" });
    }
    if (sum !== entry.crc32) {
      throw new DataError(`${archive}: the ${bytes} bytes of ${entry.fileName} are damaged`);
    }
  } catch (error) {
    throw fileFault(error, target, "write");
  } finally {
    await file.close();
  }
  await syncPath(target);
}

/** What is wrong with the bytes of an archive; what the system says stays what it is. */
async function asFault<T>(name: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (cause) {
    if (isSystemError(cause)) throw fileFault(cause, name, "read");
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new DataError(`${name}: cannot be read as a zip: ${message}`, { cause });
  }
}
