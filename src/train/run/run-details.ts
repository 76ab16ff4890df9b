import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError } from "../../errors.js";
import { listCheckpoints, readPointer } from "../checkpoint/checkpoint-folder.js";
import { isObject } from "./json.js";
import { readMetricLines } from "./metric-lines.js";
import type { LoggedRecord } from "./metric-record.js";
import { type RunEnvironment, runFiles } from "./run-files.js";
import { exists, looksLikeRun, type RunSummary, readJsonFile, readRunCore } from "./run-summary.js";

/** A checkpoint of a run. */
export interface CheckpointSummary {
  readonly name: string;
  readonly step: number;
  readonly bytes: number;
  readonly latest: boolean;
  readonly best: boolean;
}

/** A metric over the steps of a run. */
export interface Curve {
  readonly split: LoggedRecord["split"];
  readonly metric: string;
  readonly points: readonly { readonly step: number; readonly value: number }[];
}

/** Everything that a run folder tells. */
export interface RunDetails {
  readonly summary: RunSummary;
  readonly config: Readonly<Record<string, unknown>> | null;
  readonly environment: RunEnvironment | null;
  /** Command lines, that of the first start first. */
  readonly commands: readonly string[];
  readonly records: number;
  /** The last record of each split. */
  readonly latest: readonly LoggedRecord[];
  /** All validations. */
  readonly validations: readonly LoggedRecord[];
  /** The training loss. */
  readonly loss: Curve | null;
  readonly checkpoints: readonly CheckpointSummary[];
  readonly results: Readonly<Record<string, unknown>> | null;
  /** What a reader should know, a sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Reads all of a run; what is damaged is left out and told of in `warnings`.
 *
 * @throws CheckpointError when the folder is no run
 */
export async function readRun(path: string): Promise<RunDetails> {
  if (!(await looksLikeRun(path))) throw new CheckpointError(`${path} is no run folder`);
  const { summary, config, environment, state } = await readRunCore(path);
  const faults: string[] = [];
  const attempt = async <T>(read: () => Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await read();
    } catch (error) {
      faults.push((error as Error).message);
      return otherwise;
    }
  };
  const metrics = new MetricsReader();
  await attempt(() => metrics.read(join(path, runFiles.metrics)), undefined);
  const checkpoints = await attempt(() => readCheckpoints(join(path, runFiles.checkpoints)), []);
  const results = await attempt(() => readResults(path), null);
  const command = await readFile(join(path, runFiles.command), "utf8").catch(() => "");
  const warnings = [
    ...summary.faults,
    ...faults,
    ...metrics.warnings,
    ...(summary.state === "interrupted" ? ["its process ended without a word; resume it"] : []),
    ...(state?.state === "failed" && state.reason ? [`it failed: ${state.reason}`] : []),
    ...environmentWarnings(environment),
  ];
  const damaged = faults.length > 0;
  return {
    summary: damaged
      ? { ...summary, state: "damaged", faults: [...summary.faults, ...faults] }
      : summary,
    config: config ?? null,
    environment: environment ?? null,
    commands: command.split("\n").filter((line) => line !== ""),
    records: metrics.records,
    latest: [...metrics.latest.values()],
    validations: metrics.validations,
    loss:
      metrics.loss.length === 0 ? null : { split: "train", metric: "loss", points: metrics.loss },
    checkpoints,
    results,
    warnings: [...new Set(warnings)],
  };
}

/** A metric of the validations, as a curve. */
export function validationCurve({ validations }: RunDetails, metric: string): Curve {
  const points = validations.flatMap(({ step, values }) => {
    const value = values[metric];
    return value === undefined ? [] : [{ step, value }];
  });
  return { split: "validation", metric, points };
}

class MetricsReader {
  records = 0;
  readonly latest = new Map<string, LoggedRecord>();
  readonly validations: LoggedRecord[] = [];
  readonly loss: { step: number; value: number }[] = [];
  #unsound: number | undefined;

  async read(path: string): Promise<void> {
    for await (const { record } of readMetricLines(path)) {
      this.records++;
      this.latest.set(record.split, record);
      if (record.split === "validation") this.validations.push(record);
      const { loss } = record.values;
      if (record.split !== "train" || loss === undefined) continue;
      this.loss.push({ step: record.step, value: loss });
      if (!Number.isFinite(loss)) this.#unsound ??= record.step;
    }
  }

  get warnings(): string[] {
    return this.#unsound === undefined ? [] : [`the loss is not finite from step ${this.#unsound}`];
  }
}

async function readCheckpoints(folder: string): Promise<CheckpointSummary[]> {
  const latest = await readPointer(folder, "latest");
  const best = await readPointer(folder, "best");
  const found: CheckpointSummary[] = [];
  for (const step of await listCheckpoints(folder)) {
    const name = `step-${step}`;
    const bytes = await sizeOf(join(folder, name));
    found.push({ name, step, bytes, latest: step === latest, best: step === best });
  }
  return found;
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}

async function readResults(path: string): Promise<Readonly<Record<string, unknown>> | null> {
  if (!(await exists(path, runFiles.results))) return null;
  const results = await readJsonFile(path, runFiles.results);
  if (!isObject(results)) throw new Error(`${runFiles.results}: expected an object`);
  return results;
}

/** A resumed run equals one that was never interrupted on a like machine only. */
function environmentWarnings(environment: RunEnvironment | undefined): string[] {
  if (!Array.isArray(environment?.resumed)) return [];
  const warnings: string[] = [];
  for (const later of environment.resumed as unknown[]) {
    if (!isObject(later)) continue;
    const { isa, bfloat16 } = isObject(later.addon) ? later.addon : {};
    if (isa !== environment.addon?.isa || bfloat16 !== environment.addon?.bfloat16) {
      warnings.push("it was resumed on a processor with other instructions");
    }
    if (later.userLlm !== environment.userLlm) {
      warnings.push(`it was resumed with user-llm ${later.userLlm}`);
    }
  }
  return warnings;
}
