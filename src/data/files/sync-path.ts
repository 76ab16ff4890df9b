import { open } from "node:fs/promises";
import { isSystemError } from "./file-fault.js";

/** Waits until the disk has a file, or the names in a folder. */
export async function syncPath(path: string): Promise<void> {
  try {
    const file = await open(path, "r");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    // Windows opens no folders, and some network file systems do not sync them: nothing more can be done there.
    const refused = ["EISDIR", "EPERM", "EINVAL", "EACCES", "ENOTSUP"];
    if (!refused.some((code) => isSystemError(error, code))) throw error;
  }
}
