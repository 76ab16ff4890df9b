import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { syncPath } from "../files/sync-path.js";
import { type DescribeSyntheticOptions, describeSynthetic } from "./describe-synthetic.js";
import type { SyntheticModel } from "./model.js";
import { cardName } from "./origin.js";

/** Writes `synthetic.json`; it appears when it is whole. */
export async function writeCard(
  folder: string,
  model: SyntheticModel,
  options: DescribeSyntheticOptions,
): Promise<void> {
  const card = await describeSynthetic(model, options);
  const temporary = join(folder, `.${cardName}.tmp`);
  await rm(temporary, { force: true }); // of a process that ended in the middle of this
  try {
    await writeNew(temporary, (file) => file.writeFile(`${JSON.stringify(card, null, 2)}\n`));
    await rename(temporary, join(folder, cardName));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncPath(folder);
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
