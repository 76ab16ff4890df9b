import { DataError } from "../../errors.js";
import { native } from "../../native.js";

/**
 * The bytes of a file, mapped into memory: nothing is read before it is looked at, and the system shares and drops pages
 * as it likes. Writing into the buffer changes neither the file nor what others see of it.
 *
 * A file that is replaced by rename while it is mapped keeps its old content here. One that is cut short in place ends
 * the process when the missing part is read, so map only files that nobody writes to.
 *
 * @throws DataError when it is not there, cannot be read, or is not a regular file
 */
export function mapFile(path: string): ArrayBuffer {
  const mapped = native.mapFile(path);
  if (typeof mapped === "string") throw new DataError(`${path}: ${mapped}`);
  return mapped;
}

/**
 * Lets go of a mapping before it is garbage. The buffer and all views of it are empty from then on; loaders that gather
 * from it go on reading.
 */
export function unmapFile(buffer: ArrayBuffer): void {
  native.unmapFile(buffer);
}
