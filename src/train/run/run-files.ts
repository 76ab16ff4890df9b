/** What is where in a run folder. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { FolderKind } from "../../data/write/partial-folder.js";
import { CheckpointError } from "../../errors.js";
import type { Environment, RunFacts } from "./environment.js";
import { lockName } from "./folder-lock.js";
import { isObject } from "./json.js";
import { isEventFile } from "./tensorboard.js";

/** Raised when the layout of run folders changes. */
export const runVersion = 1;

export const runFiles = {
  /** The configuration as the user gave it. */
  config: "config.yaml",
  /** With every default. */
  resolved: "config.resolved.json",
  /** Says that the folder is a run, too. */
  environment: "environment.json",
  command: "command.txt",
  metrics: "metrics.jsonl",
  log: "train.log",
  state: "trainer_state.json",
  results: "all_results.json",
  checkpoints: "checkpoints",
} as const;

/** Made by other parts, and replaced together with the run. */
const made: readonly string[] = [
  ...["encoder", "encoder.tmp", "model", "model.tmp", "eval", "report.html", "protocol.json"],
];
const known = new Set([...Object.values(runFiles), ...made]);

/** `environment.json`. */
export interface RunEnvironment extends Environment, RunFacts {
  readonly format: "user-llm-run";
  /** The `runVersion` it was written with. */
  readonly v: number;
  /** Where the run was resumed; the newest is last. */
  readonly resumed: readonly Environment[];
}

/**
 * Reads what says that a folder is a run.
 *
 * @throws CheckpointError when it is none, or of another version
 */
export async function readRunEnvironment(folder: string): Promise<RunEnvironment> {
  const path = join(folder, runFiles.environment);
  let found: unknown;
  try {
    found = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new CheckpointError(`${folder} is no run folder: it has no readable environment.json`, {
      cause,
    });
  }
  if (!isObject(found) || found.format !== "user-llm-run") {
    throw new CheckpointError(`${folder} is no run folder: its environment.json is another's`);
  }
  if (found.v !== runVersion) {
    throw new CheckpointError(
      `${path}: a run of format version ${JSON.stringify(found.v) ?? "none"}; this release reads ${runVersion}`,
    );
  }
  return found as unknown as RunEnvironment;
}

/** Run folders may replace each other, with all that this package puts in them. */
export const runKind: FolderKind = {
  name: "files of a run",
  async recognise(folder) {
    try {
      await readRunEnvironment(folder);
      return (name) =>
        known.has(name) || name.startsWith(lockName) || isEventFile(name) || isDraft(name);
    } catch {
      return undefined;
    }
  },
};

/** Of a process that was killed while it replaced a file. */
export const isDraft = (name: string): boolean => /^\..+\.[0-9a-f]{12}\.tmp$/.test(name);
