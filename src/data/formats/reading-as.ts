import { DataError } from "../../errors.js";

/** What `body` throws, as a fault of the file: `visits.parquet: cannot be read as Parquet: ...`. */
export async function readingAs<T>(
  format: string,
  name: string,
  body: () => T | Promise<T>,
): Promise<T> {
  try {
    return await body();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") {
      throw new DataError(`${name}: there is no such file`, { cause });
    }
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new DataError(`${name}: cannot be read as ${format}: ${message}`, { cause });
  }
}
