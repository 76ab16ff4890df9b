import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError } from "../../errors.js";
import { cardFile } from "./encoder-card.js";

/**
 * The folder of an encoder: the given one, a checkpoint; or of a run its best checkpoint, else its latest.
 *
 * @throws CheckpointError when it is none of these
 */
export async function findEncoder(folder: string): Promise<string> {
  if (await exists(join(folder, cardFile))) return folder;
  const checkpoints = join(folder, "checkpoints");
  for (const pointer of ["best", "latest"]) {
    const path = join(checkpoints, pointer);
    const name = (await readFile(path, "utf8").catch(() => undefined))?.trim();
    if (name === undefined) continue;
    if (!/^step-\d{1,16}$/.test(name))
      throw new CheckpointError(
        `${path}: expected the name of a checkpoint, got ${JSON.stringify(name.slice(0, 40))}`,
      );
    if (await exists(join(checkpoints, name, cardFile))) return join(checkpoints, name);
    throw new CheckpointError(
      `${join(checkpoints, name)}: ${path} names it, but it holds no ${cardFile}`,
    );
  }
  throw new CheckpointError(`${folder}: neither an encoder nor a run with checkpoints`);
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
