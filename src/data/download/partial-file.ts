import { constants } from "node:fs";
import { type FileHandle, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { isSystemError } from "../files/file-fault.js";

/** Which state of the remote file the bytes on disk are from. */
export interface Provenance {
  readonly url: string;
  readonly etag?: string | undefined;
  readonly lastModified?: string | undefined;
  /** Of the whole file; undefined where the server does not say. */
  readonly bytes?: number | undefined;
}

/** A file that has come in part, `NAME.part`, and beside it `NAME.part.json`, which says what it is part of. */
export interface PartialFile {
  readonly path: string;
  readonly file: FileHandle;
  /** What is on disk, all of it of one state of the remote file. */
  have: number;
  /** Undefined where nothing is on disk that could be continued. */
  provenance: Provenance | undefined;
}

/** Opens what an earlier run left of the file at `url`, or an empty file. */
export async function openPartialFile(path: string, url: string): Promise<PartialFile> {
  const provenance = await readProvenance(path);
  // Bytes are written to their places: of two processes at the same file each writes what the other does.
  const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o644);
  const { size } = await file.stat();
  const usable = provenance?.url === url && size > 0;
  return { path, file, have: usable ? size : 0, provenance: usable ? provenance : undefined };
}

/** Forgets the bytes on disk: those that come are of this state of the remote file. */
export async function restart(
  partial: PartialFile,
  provenance: Provenance | undefined,
): Promise<void> {
  partial.have = 0;
  partial.provenance = provenance;
  await partial.file.truncate(0);
  const sidecar = sidecarOf(partial.path);
  if (provenance === undefined) await rm(sidecar, { force: true });
  else await writeFile(sidecar, `${JSON.stringify(provenance)}\n`);
}

/** The file and what is beside it. */
export async function removePartialFile(path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(sidecarOf(path), { force: true });
}

/** Gives it another name, with what is beside it. @returns false if there is none */
export async function movePartialFile(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    await rename(sidecarOf(from), sidecarOf(to)).catch(() => undefined); // then it is not continued
    return true;
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return false;
    throw error;
  }
}

function sidecarOf(path: string): string {
  return `${path}.json`;
}

async function readProvenance(path: string): Promise<Provenance | undefined> {
  try {
    const { url, etag, lastModified, bytes } = JSON.parse(await readFile(sidecarOf(path), "utf8"));
    const text = (value: unknown) => (typeof value === "string" ? value : undefined);
    if (typeof url !== "string") return undefined;
    return {
      url,
      etag: text(etag),
      lastModified: text(lastModified),
      bytes: Number.isSafeInteger(bytes) ? bytes : undefined,
    };
  } catch {
    return undefined; // not there, or cut off: then the part is not continued
  }
}
