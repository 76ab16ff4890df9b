/** Files of checkpoints: on the disk before they count, and known by their hashes. */
import { createHash } from "node:crypto";
import { type FileHandle, open, readdir, rename } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { isSystemError, meaningOf } from "../../data/files/file-fault.js";
import { syncPath } from "../../data/files/sync-path.js";
import { CheckpointError, UserLlmError } from "../../errors.js";

/** A file of a checkpoint, by which it is known again. */
export interface StoredFile {
  /** Below the checkpoint's folder, with `/`. */
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

const pieceBytes = 1 << 20;

/** Everything in a folder, by name; read in pieces, so that other work gets its turn. */
export async function listFiles(folder: string): Promise<StoredFile[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const files: StoredFile[] = [];
  for (const path of paths) {
    const name = relative(folder, path).split(sep).join("/");
    files.push({ name, ...(await withFile(path, "r", hashOf)) });
  }
  return files;
}

/** Waits until the disk has everything in a folder. */
export async function syncTree(folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const entry of entries) await syncPath(join(entry.parentPath, entry.name));
  await syncPath(folder);
}

export async function writeNew(path: string, text: string): Promise<void> {
  await withFile(path, "w", async (file) => {
    await file.writeFile(text);
    await file.sync();
  });
}

/** Puts a small file in the place of another: a reader sees the one or the other. */
export async function replaceText(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await writeNew(temporary, text);
  await rename(temporary, path);
  await syncPath(dirname(path));
}

/**
 * A failed call on the file system, also one that somebody has reported already, as a `CheckpointError`:
 * `step-200: cannot save the checkpoint: no space is left on the disk`. Anything else as it is.
 */
export function checkpointFault(error: unknown, path: string, doing: string): unknown {
  const cause = error instanceof UserLlmError ? error.cause : error;
  if (!isSystemError(cause)) return error;
  return new CheckpointError(`${path}: cannot ${doing}: ${meaningOf(cause)}`, { cause: error });
}

async function withFile<T>(
  path: string,
  flags: "r" | "w",
  body: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const file = await open(path, flags);
  try {
    return await body(file);
  } finally {
    await file.close();
  }
}

async function hashOf(file: FileHandle): Promise<Pick<StoredFile, "bytes" | "sha256">> {
  const hash = createHash("sha256");
  const piece = Buffer.allocUnsafe(pieceBytes);
  let bytes = 0;
  for (;;) {
    const { bytesRead } = await file.read(piece, 0, piece.length, bytes);
    if (bytesRead === 0) return { bytes, sha256: hash.digest("hex") };
    hash.update(piece.subarray(0, bytesRead));
    bytes += bytesRead;
  }
}
