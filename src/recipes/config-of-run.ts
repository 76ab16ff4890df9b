import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { ConfigObject } from "../config/index.js";
import { isSystemError } from "../data/files/file-fault.js";
import { CheckpointError } from "../errors.js";

const name = "config.resolved.json";

/**
 * The configuration that a run was started with.
 *
 * @param folder the run, or something in it: a checkpoint, its encoder
 * @throws CheckpointError when it is in no run, or the run's configuration cannot be read
 */
export async function configOfRun(folder: string): Promise<ConfigObject> {
  let above = resolve(folder);
  for (let level = 0; level < 3; level++, above = dirname(above)) {
    const path = join(above, name);
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      if (isSystemError(error, "ENOENT") || isSystemError(error, "ENOTDIR")) continue;
      throw new CheckpointError(`${path}: cannot be read`, { cause: error });
    }
    const value = parsed(path, text);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as ConfigObject;
    throw new CheckpointError(`${path}: expected an object`);
  }
  throw new CheckpointError(`${folder} is in no run: there is no ${name}`);
}

function parsed(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CheckpointError(`${path}: ${(error as Error).message}`, { cause: error });
  }
}
