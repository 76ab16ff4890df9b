import { access, readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { holderOf } from "./folder-lock.js";
import { isObject, readJson } from "./json.js";
import type { BestMetric } from "./metric-record.js";
import { type RunEnvironment, readRunEnvironment, runFiles } from "./run-files.js";
import { parseState, type TrainerState } from "./trainer-state.js";

/** A run in a few facts; null where nothing is known. */
export interface RunSummary {
  readonly name: string;
  readonly path: string;
  /**
   * As the run said last. `interrupted`: it never said that it ended, and its process is gone; `damaged`: some of its files
   * cannot be read, as `faults` tells.
   */
  readonly state: TrainerState["state"] | "interrupted" | "damaged";
  /** What is wrong with its files, a sentence each. */
  readonly faults: readonly string[];
  /** Why it ended, in a few words. */
  readonly reason: string | null;
  /** The kind of encoder. */
  readonly encoder: string | null;
  /** The title of the data. */
  readonly data: string | null;
  readonly step: number | null;
  /** Steps that it is to have. */
  readonly steps: number | null;
  readonly epoch: number | null;
  readonly best: BestMetric | null;
  /** ISO 8601 in UTC. */
  readonly startedAt: string | null;
  readonly updatedAt: string | null;
  /** Seconds that it has been going. */
  readonly seconds: number | null;
}

/** What the small files of a run hold; undefined where one is missing or damaged, which is in `faults`. */
export interface RunCore {
  readonly summary: RunSummary;
  readonly config: Readonly<Record<string, unknown>> | undefined;
  readonly environment: RunEnvironment | undefined;
  readonly state: TrainerState | undefined;
}

/** Whether a folder is a run, be it a damaged one. */
export async function looksLikeRun(folder: string): Promise<boolean> {
  const environment = await readJson(join(folder, runFiles.environment)).catch((error) => error);
  if (isObject(environment) && !(environment instanceof Error)) {
    return environment.format === "user-llm-run";
  }
  const has = (name: string) => exists(folder, name);
  return (
    (await has(runFiles.metrics)) &&
    ((await has(runFiles.environment)) || (await has(runFiles.state)))
  );
}

/** Reads a run, as far as it can be read. Never throws for what is in its files. */
export async function readRunCore(path: string, name = basename(resolve(path))): Promise<RunCore> {
  const faults: string[] = [];
  const attempt = async <T>(read: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      faults.push((error as Error).message);
      return undefined;
    }
  };
  const environment = await attempt(() => readRunEnvironment(path));
  const config = await attempt(() => readConfig(path));
  const state = await attempt(() => readState(path));
  if (!(await exists(path, runFiles.metrics))) faults.push(`${runFiles.metrics} is missing`);
  const isHeld = (await holderOf(path)) !== undefined;
  return {
    summary: { name, path, faults, ...describe() },
    config,
    environment,
    state: state ?? undefined,
  };

  function describe(): Omit<RunSummary, "name" | "path" | "faults"> {
    const saysRunning = (state?.state ?? "running") === "running";
    return {
      state:
        faults.length > 0
          ? "damaged"
          : saysRunning && !isHeld
            ? "interrupted"
            : (state?.state ?? "running"),
      reason: state?.reason ?? null,
      encoder: encoderOf(config),
      data: dataOf(environment, config),
      step: state?.step ?? null,
      steps: state?.steps ?? null,
      epoch: state?.epoch ?? null,
      best: state?.best ?? null,
      startedAt: state?.startedAt ?? textOf(environment?.startedAt),
      updatedAt: state?.updatedAt ?? null,
      seconds: state?.seconds ?? null,
    };
  }
}

async function readConfig(path: string): Promise<Readonly<Record<string, unknown>>> {
  const config = await readJsonFile(path, runFiles.resolved);
  if (!isObject(config)) throw new Error(`${runFiles.resolved}: expected an object`);
  return config;
}

/** Null before the first state is written. */
async function readState(path: string): Promise<TrainerState | null> {
  if (!(await exists(path, runFiles.state))) return null;
  return parseState(await readJsonFile(path, runFiles.state), runFiles.state);
}

/** @throws Error whose message begins with the name of the file */
export async function readJsonFile(path: string, name: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(join(path, name), "utf8");
  } catch (cause) {
    throw new Error(`${name} cannot be read`, { cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${name} is no JSON`, { cause });
  }
}

export async function exists(folder: string, name: string): Promise<boolean> {
  return await access(join(folder, name)).then(
    () => true,
    () => false,
  );
}

const textOf = (value: unknown): string | null =>
  typeof value === "string" && value !== "" ? value : null;

const partOf = (value: unknown, name: string): unknown =>
  isObject(value) ? value[name] : undefined;

function encoderOf(config: unknown): string | null {
  const encoder = partOf(config, "encoder");
  const kind = textOf(partOf(encoder, "kind"));
  return kind === "custom" ? (textOf(partOf(encoder, "name")) ?? kind) : kind;
}

function dataOf(environment: unknown, config: unknown): string | null {
  const data = partOf(config, "data");
  const out = textOf(partOf(data, "out"));
  return (
    textOf(partOf(partOf(environment, "data"), "title")) ??
    (out === null ? null : basename(out)) ??
    textOf(partOf(data, "source"))
  );
}
