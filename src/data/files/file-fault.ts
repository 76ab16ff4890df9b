import { DataError } from "../../errors.js";

/** What the system's codes mean to a user; any other is given by its own message. */
const meanings: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EDQUOT: "the disk quota is used up",
  EEXIST: "it exists already",
  EFBIG: "the file system does not take files that large",
  EMFILE: "too many files are open",
  ENOENT: "no such file or folder",
  ENOSPC: "no space is left on the disk",
  ENOTDIR: "it, or a folder above it, is a file",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
};

/** A failed call on the file system as a `DataError`: `out/events.arrow: cannot write: no space is left on the disk`. */
export function fileFault(error: unknown, path: string, doing: string): unknown {
  if (!isSystemError(error)) return error;
  return new DataError(`${path}: cannot ${doing}: ${meaningOf(error)}`, { cause: error });
}

/** What went wrong, in a user's words: `no space is left on the disk`. */
export function meaningOf(error: Error & { readonly code: string }): string {
  return meanings[error.code] ?? error.message;
}

export function isSystemError(error: unknown, code?: string): error is Error & { code: string } {
  if (!(error instanceof Error) || !("code" in error) || !("syscall" in error)) return false;
  return code === undefined || error.code === code;
}
