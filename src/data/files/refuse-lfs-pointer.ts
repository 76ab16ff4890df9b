import type { FileHandle } from "node:fs/promises";
import { DataError } from "../../errors.js";

/** Every pointer of every version of Git LFS begins so. */
const pointerStart = "version https://git-lfs.github.com/spec/";

/**
 * Whoever clones a repository without Git LFS has small texts in place of the large files, under the same names.
 *
 * @throws DataError when the file is such a pointer
 */
export async function refuseLfsPointer(file: FileHandle, path: string): Promise<void> {
  // A pipe cannot be read from its start again, a folder not at all.
  if (!(await file.stat()).isFile()) return;
  const { buffer, bytesRead } = await file.read(Buffer.alloc(pointerStart.length), { position: 0 });
  if (buffer.toString("latin1", 0, bytesRead) !== pointerStart) return;
  throw new DataError(`${path}: is a pointer of Git LFS, not the data; fetch it with git lfs pull`);
}
