import { rename, rm } from "node:fs/promises";

/** Puts a folder in place, or in the place of another, once it is written. */
export async function replaceFolder(
  folder: string,
  write: (folder: string) => Promise<void>,
): Promise<void> {
  const temporary = `${folder}.tmp`;
  await rm(temporary, { recursive: true, force: true });
  await write(temporary);
  await rm(folder, { recursive: true, force: true });
  await rename(temporary, folder);
}
