/**
 * A folder of checkpoints: `step-200`, ..., and the text files `latest` and `best`, each with the name of one. What ends
 * in `.tmp` is unfinished, or on its way out.
 */
import { readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { isSystemError } from "../../data/files/file-fault.js";
import { syncPath } from "../../data/files/sync-path.js";
import { CheckpointError } from "../../errors.js";
import { replaceText } from "./files.js";

export type Pointer = "latest" | "best";

export const checkpointName = (step: number): string => `step-${step}`;

/** The step in a checkpoint's name; undefined if it is none. */
export function stepOf(name: string): number | undefined {
  const digits = /^step-(0|[1-9]\d{0,15})$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Steps of all checkpoints, ascending; none if there is no such folder. */
export async function listCheckpoints(folder: string): Promise<number[]> {
  const names = await namesIn(folder);
  return names.flatMap((name) => stepOf(name) ?? []).sort((a, b) => a - b);
}

/**
 * The step that `latest` or `best` names; undefined if there is no such file.
 *
 * @throws CheckpointError when the file holds anything else
 */
export async function readPointer(folder: string, pointer: Pointer): Promise<number | undefined> {
  const path = join(folder, pointer);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return undefined;
    throw error;
  }
  const step = stepOf(text.trim());
  if (step !== undefined) return step;
  const got = JSON.stringify(text.slice(0, 40));
  throw new CheckpointError(`${path}: expected the name of a checkpoint, got ${got}`);
}

export async function point(folder: string, pointer: Pointer, step: number): Promise<void> {
  await replaceText(join(folder, pointer), `${checkpointName(step)}\n`);
}

/** Removes checkpoints; one that goes is no checkpoint any more from the first moment on. */
export async function removeCheckpoints(folder: string, steps: readonly number[]): Promise<void> {
  for (const step of steps) {
    const path = join(folder, checkpointName(step));
    await rm(`${path}.tmp`, { recursive: true, force: true });
    await rename(path, `${path}.tmp`);
    await rm(`${path}.tmp`, { recursive: true, force: true });
  }
  if (steps.length > 0) await syncPath(folder);
}

/** Removes all but the newest `keep` checkpoints, and the best. */
export async function prune(folder: string, keep: number, best: number | undefined): Promise<void> {
  const old = (await listCheckpoints(folder)).slice(0, -keep);
  await removeCheckpoints(
    folder,
    old.filter((step) => step !== best),
  );
}

/** Removes what a process left that ended while it saved. */
export async function clearUnfinished(folder: string): Promise<void> {
  for (const name of await namesIn(folder)) {
    const [, of = ""] = /^(.*)\.tmp$/.exec(name) ?? [];
    if (of === "latest" || of === "best" || stepOf(of) !== undefined)
      await rm(join(folder, name), { recursive: true, force: true });
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return await readdir(folder).catch((error) => {
    if (isSystemError(error, "ENOENT")) return [];
    throw error;
  });
}
