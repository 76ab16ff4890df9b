import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileFault } from "./file-fault.js";
import { syncPath } from "./sync-path.js";

/** Puts a file in place, or in the place of another, whole and on the disk. */
export async function replaceFile(
  path: string,
  write: (append: (bytes: Uint8Array | string) => Promise<void>) => Promise<void>,
): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  try {
    const file = await open(temporary, "wx");
    try {
      await write((bytes) => file.appendFile(bytes));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncPath(folder);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw fileFault(error, path, "write");
  }
}
