import { open } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { CheckpointError, UsageError } from "../../errors.js";
import type { Optimizer } from "../../optim/index.js";
import { type DType, openSafetensors, type StoredDType, type Tensor } from "../../tensor/index.js";
import { checkpointName, listCheckpoints, readPointer, stepOf } from "./checkpoint-folder.js";
import { checkpointFault, listFiles, type StoredFile } from "./files.js";
import { parseState, type StateFile } from "./run-state.js";
import { optimizerName, stateName } from "./save-checkpoint.js";

/** A checkpoint of which every file is as it was written. */
export interface OpenedCheckpoint {
  readonly path: string;
  readonly state: StateFile;
}

/** What a state may have of bytes: it is small, and nobody is to read gigabytes because a file says so. */
const maxStateBytes = 1 << 26;

/**
 * The checkpoint to go on from; undefined where `auto` finds none.
 *
 * @param folder   of all checkpoints
 * @param resume   `auto`: what `latest` names; else `best`, or a checkpoint's name or path
 * @param fallback whether to take the newest one that is intact instead of one that is damaged
 * @throws CheckpointError when it is damaged, with the newest older one that is not
 */
export async function findCheckpoint(
  folder: string,
  resume: string,
  fallback: boolean,
): Promise<OpenedCheckpoint | undefined> {
  try {
    const step = await wantedStep(folder, resume);
    if (step !== undefined) return await openCheckpoint(folder, step);
    if ((await listCheckpoints(folder)).length === 0) return undefined;
    // The first save was cut off before `latest` was written, or somebody removed it.
    const intact = await newestIntact(folder);
    if (intact !== undefined) return intact;
    throw new CheckpointError(`${folder}: holds checkpoints, but none that is intact`);
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw checkpointFault(error, folder, "read");
    const intact = await newestIntact(folder);
    if (intact === undefined) throw error;
    if (fallback) return intact;
    throw new CheckpointError(`${error.message}; ${intact.path} is intact: resume from that one`, {
      cause: error,
    });
  }
}

async function wantedStep(folder: string, resume: string): Promise<number | undefined> {
  if (resume === "auto" || resume === "best" || resume === "latest") {
    const step = await readPointer(folder, resume === "best" ? "best" : "latest");
    if (step !== undefined || resume === "auto") return step;
    throw new CheckpointError(`${join(folder, resume)}: no such file`);
  }
  const step = stepOf(basename(resume));
  const parent = dirname(resume);
  if (step === undefined || (parent !== "." && resolve(parent) !== resolve(folder)))
    throw new UsageError(`resume: expected "auto" or a checkpoint in ${folder}, got ${resume}`);
  return step;
}

async function newestIntact(folder: string): Promise<OpenedCheckpoint | undefined> {
  for (const step of (await listCheckpoints(folder)).reverse()) {
    try {
      return await openCheckpoint(folder, step);
    } catch {}
  }
  return undefined;
}

/** Opens a checkpoint and compares every file with what was written. */
async function openCheckpoint(folder: string, step: number): Promise<OpenedCheckpoint> {
  const path = join(folder, checkpointName(step));
  try {
    const place = join(path, stateName);
    const state = parseState(await readBounded(place), place);
    if (state.step !== step)
      throw new CheckpointError(`${place}: is of step ${state.step}, must be of ${step}`);
    const found = await listFiles(path);
    const fault = difference(
      state.files,
      found.filter(({ name }) => name !== stateName),
    );
    if (fault !== undefined) throw new CheckpointError(`${path}: ${fault}`);
    return { path, state };
  } catch (error) {
    throw checkpointFault(error, path, "read the checkpoint");
  }
}

function difference(
  written: readonly StoredFile[],
  found: readonly StoredFile[],
): string | undefined {
  const present = new Map(found.map((file) => [file.name, file]));
  for (const { name, bytes, sha256 } of written) {
    const file = present.get(name);
    if (file === undefined) return `${name} is missing`;
    if (file.bytes !== bytes) return `${name} has ${file.bytes} bytes, was written with ${bytes}`;
    if (file.sha256 !== sha256) return `${name} is not as it was written`;
    present.delete(name);
  }
  const [extra] = present.keys();
  return extra === undefined ? undefined : `${extra} is not part of the checkpoint`;
}

async function readBounded(path: string): Promise<string> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    if (size > maxStateBytes) throw new CheckpointError(`${path}: has ${size} bytes, too many`);
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

const exactly: Partial<Record<StoredDType, DType>> = {
  F64: "float64",
  F32: "float32",
  BF16: "bfloat16",
  I32: "int32",
  U8: "uint8",
};

/** Gives an optimizer the state of a checkpoint. @throws CheckpointError when it is another optimizer's */
export async function loadOptimizer({ path }: OpenedCheckpoint, optimizer: Optimizer) {
  const tensors = new Map<string, Tensor>();
  try {
    await using file = await openSafetensors(join(path, optimizerName));
    for (const name of file.names)
      tensors.set(name, await file.read(name, { dtype: exactly[file.info(name).dtype] }));
    optimizer.loadState(tensors);
  } catch (error) {
    throw checkpointFault(error, path, "read the checkpoint");
  } finally {
    for (const tensor of tensors.values()) tensor.dispose();
  }
}
