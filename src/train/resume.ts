import { rm } from "node:fs/promises";
import { join } from "node:path";
import { syncPath } from "../data/files/sync-path.js";
import { CheckpointError, UsageError } from "../errors.js";
import type { Generator } from "../ops/index.js";
import {
  checkpointName,
  clearUnfinished,
  listCheckpoints,
  point,
  prune,
  removeCheckpoints,
} from "./checkpoint/checkpoint-folder.js";
import { checkpointFault } from "./checkpoint/files.js";
import {
  findCheckpoint,
  loadOptimizer,
  type OpenedCheckpoint,
} from "./checkpoint/open-checkpoint.js";
import type { RunState } from "./checkpoint/run-state.js";
import type { CheckpointOptions, FitOptions, TrainingBatch } from "./fit.js";
import { restore } from "./randomness.js";
import { differences } from "./settings.js";

/**
 * Puts model, optimizer, batches and generators where a checkpoint has them, and makes it the folder's latest: unfinished
 * and later ones go.
 *
 * @returns where the run stands; undefined if it starts from the beginning
 * @throws CheckpointError when the checkpoint is damaged or of another run
 * @throws UsageError when there are checkpoints and nobody said to resume
 */
export async function resume<B extends TrainingBatch>(
  options: FitOptions<B>,
  generators: readonly Generator[],
): Promise<RunState | undefined> {
  const { checkpoints, resume: from } = options;
  if (checkpoints === undefined) return undefined;
  const { folder, fallback = false } = checkpoints;
  if (from === undefined) {
    await requireNone(folder);
    return undefined;
  }
  const found = await findCheckpoint(folder, from, fallback);
  if (found !== undefined) await load(found, options, checkpoints, generators);
  try {
    if (found !== undefined) await makeLatest(checkpoints, found.state);
    await clearUnfinished(folder);
  } catch (error) {
    throw checkpointFault(error, folder, "resume");
  }
  return found?.state;
}

async function requireNone(folder: string): Promise<void> {
  try {
    const [first] = await listCheckpoints(folder);
    if (first !== undefined)
      throw new UsageError(
        `fit: ${folder} holds ${checkpointName(first)}; resume, or use another folder`,
      );
    await clearUnfinished(folder);
  } catch (error) {
    throw checkpointFault(error, folder, "read");
  }
}

async function load<B extends TrainingBatch>(
  found: OpenedCheckpoint,
  options: FitOptions<B>,
  checkpoints: CheckpointOptions,
  generators: readonly Generator[],
): Promise<void> {
  const { path, state } = found;
  const differing = differences(state.settings, options);
  if (state.generators.length !== generators.length)
    differing.push(`there are ${generators.length} generators, were ${state.generators.length}`);
  if (state.step > options.steps)
    differing.push(`steps is ${options.steps}, and ${state.step} are done`);
  if (differing.length > 0)
    throw new CheckpointError(`${path}: is of another run: ${differing.join("; ")}`);
  await loadOptimizer(found, options.optimizer);
  await checkpoints.load(path);
  try {
    options.batches.load(state.batches);
    for (const generator of generators) generator.dispose(); // its few bytes are of another state
    restore(generators, state.generators);
  } catch (cause) {
    throw new CheckpointError(`${path}: ${(cause as Error).message}`, { cause });
  }
}

/** The folder as it was when the checkpoint had just been saved. */
async function makeLatest(
  { folder, keep = 2 }: CheckpointOptions,
  { step, earlyStopping }: RunState,
): Promise<void> {
  const steps = await listCheckpoints(folder);
  const { best } = earlyStopping;
  await point(folder, "latest", step);
  if (best !== undefined && steps.includes(best.step)) await point(folder, "best", best.step);
  else await rm(join(folder, "best"), { force: true });
  await removeCheckpoints(
    folder,
    steps.filter((other) => other > step),
  );
  await prune(folder, keep, best?.step);
  await syncPath(folder);
}
