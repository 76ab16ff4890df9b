import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { fileFault } from "../files/file-fault.js";
import type { SyntheticCard } from "./describe-synthetic.js";
import { cardName } from "./origin.js";

/** Writes `synthetic.json` into a folder that has not appeared yet. */
export async function writeCard(folder: string, card: SyntheticCard): Promise<void> {
  const path = join(folder, cardName);
  try {
    await writeNew(path, (file) => file.writeFile(`${JSON.stringify(card, null, 2)}\n`));
  } catch (error) {
    throw fileFault(error, path, "write");
  }
}

/** Writes a file that is not there yet, to the disk. */
export async function writeNew(
  path: string,
  body: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const file = await open(path, "wx");
  try {
    await body(file);
    await file.sync();
  } finally {
    await file.close();
  }
}
