/** What a sweep keeps of each trial, beside the trial's run folder: `trial-003.json` and `trial-003/`. */
import { join } from "node:path";
import { valueAt } from "../config/index.js";
import { isSystemError } from "../data/files/file-fault.js";
import { CheckpointError, ConfigError } from "../errors.js";
import { isObject, numberOf, readJson, replaceJson, toJson } from "../train/run/json.js";
import type { Config } from "./config.js";
import type { Trial, TrialValues } from "./sweep-space.js";

/** `unfinished`: being run, or cut short. */
export type TrialStatus = "unfinished" | "finished" | "failed";

export interface TrialRecord {
  readonly number: number;
  readonly values: TrialValues;
  readonly status: TrialStatus;
  /** All metrics on validation data, of a trial that is finished. */
  readonly validation?: Readonly<Record<string, number>>;
  /** Why it failed. */
  readonly error?: { readonly code: string; readonly message: string };
  /** Optimizer steps. */
  readonly steps: number;
  /** By the clock, over all attempts whose end was seen. */
  readonly seconds: number;
  /** Of all cores together. */
  readonly cpuSeconds: number;
  /** What it was run with. */
  readonly config: Config;
}

/** The name of a trial's run folder. */
export const trialName = (number: number): string => `trial-${String(number).padStart(3, "0")}`;

const recordFile = (folder: string, number: number): string =>
  join(folder, `${trialName(number)}.json`);

export async function writeRecord(folder: string, record: TrialRecord): Promise<void> {
  await replaceJson(recordFile(folder, record.number), record);
}

/**
 * What is known of a trial; undefined if it was never begun.
 *
 * @throws ConfigError when it was run with another configuration
 * @throws CheckpointError when the file is no record
 */
export async function readRecord(folder: string, trial: Trial): Promise<TrialRecord | undefined> {
  const file = recordFile(folder, trial.number);
  let record: unknown;
  try {
    record = await readJson(file);
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return undefined;
    throw new CheckpointError(`${file}: cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (!isRecord(record, trial.number))
    throw new CheckpointError(`${file}: is no record of a trial`);
  const now: unknown = JSON.parse(toJson(trial.config));
  const path = firstDifference(record.config, now);
  if (path !== undefined)
    throw new ConfigError(
      `${file}: this trial was run with ${path.join(".")} = ${shown(record.config, path)}, now it is ` +
        `${shown(now, path)}; another configuration needs a sweep of another name`,
    );
  const { validation, ...rest } = record;
  if (validation === undefined) return record;
  const numbers = Object.entries(validation).map(([name, value]) => [name, numberOf(value)]);
  return { ...rest, validation: Object.fromEntries(numbers) as Record<string, number> };
}

function isRecord(value: unknown, number: number): value is TrialRecord {
  if (!isObject(value) || value.number !== number || !isObject(value.config)) return false;
  const numbers = [value.steps, value.seconds, value.cpuSeconds];
  if (!numbers.every((each) => typeof each === "number")) return false;
  if (value.status === "finished") return isObject(value.validation);
  return value.status === "unfinished" || (value.status === "failed" && isObject(value.error));
}

/** The path of the first value that is not the same in both. */
function firstDifference(a: unknown, b: unknown): string[] | undefined {
  if (!isObject(a) || !isObject(b)) return toJson(a) === toJson(b) ? undefined : [];
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const inner = firstDifference(a[key], b[key]);
    if (inner !== undefined) return [key, ...inner];
  }
  return undefined;
}

const shown = (config: unknown, path: readonly string[]): string =>
  toJson(valueAt(config, path)) ?? "not given";
