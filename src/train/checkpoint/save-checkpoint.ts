import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { syncPath } from "../../data/files/sync-path.js";
import type { Optimizer } from "../../optim/index.js";
import { saveSafetensors } from "../../tensor/index.js";
import { checkpointName, point, prune } from "./checkpoint-folder.js";
import { checkpointFault, listFiles, type StoredFile, syncTree, writeNew } from "./files.js";
import {
  parseState,
  type RunState,
  type StateFile,
  stateFormat,
  stateVersion,
} from "./run-state.js";

export const stateName = "state.json";
export const optimizerName = "optimizer.safetensors";

export interface CheckpointContent {
  readonly state: RunState;
  readonly optimizer: Optimizer;
  /** Writes the model's own files into an empty folder. */
  readonly save: (folder: string) => Promise<void>;
}

/**
 * Saves a checkpoint and points `latest` to it, and `best` if it is the best. It is whole and on the disk before it gets
 * its name; until `latest` says otherwise the one before is what a run resumes from. Whatever fails, that one is intact.
 *
 * @param folder of all checkpoints
 * @param keep   how many are kept, beside the best; older ones go once this one is safe
 * @throws CheckpointError when the disk is full, the folder cannot be written, ...
 */
export async function saveCheckpoint(
  folder: string,
  content: CheckpointContent,
  keep: number,
): Promise<void> {
  const { step, earlyStopping } = content.state;
  const path = join(folder, checkpointName(step));
  try {
    await mkdir(folder, { recursive: true });
    await writeFolder(path, content);
    await point(folder, "latest", step);
    if (earlyStopping.best?.step === step) await point(folder, "best", step);
    await prune(folder, keep, earlyStopping.best?.step);
  } catch (error) {
    throw checkpointFault(error, path, "save the checkpoint");
  }
}

/**
 * Brings a checkpoint up to date with a state of the same step, which changes neither the model's files nor the
 * optimizer's.
 *
 * @throws CheckpointError when it cannot be written
 */
export async function updateCheckpoint(folder: string, state: RunState): Promise<void> {
  const path = join(folder, checkpointName(state.step));
  const place = join(path, stateName);
  try {
    const { files } = parseState(await readFile(place, "utf8"), place);
    await rm(`${path}.tmp`, { recursive: true, force: true });
    await writeNew(`${path}.tmp`, textOf(state, files));
    await rename(`${path}.tmp`, place);
    await syncPath(path);
    if (state.earlyStopping.best?.step === state.step) await point(folder, "best", state.step);
  } catch (error) {
    throw checkpointFault(error, path, "update the checkpoint");
  }
}

async function writeFolder(path: string, { state, optimizer, save }: CheckpointContent) {
  const temporary = `${path}.tmp`;
  await rm(temporary, { recursive: true, force: true });
  try {
    await mkdir(temporary);
    await save(temporary);
    await saveSafetensors(join(temporary, optimizerName), optimizer.state());
    await writeNew(join(temporary, stateName), textOf(state, await listFiles(temporary)));
    await syncTree(temporary);
    await rename(temporary, path);
    await syncPath(join(path, ".."));
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
}

function textOf(state: RunState, files: readonly StoredFile[]): string {
  const file: StateFile = { format: stateFormat, version: stateVersion, ...state, files };
  return `${JSON.stringify(file, null, 2)}\n`;
}
