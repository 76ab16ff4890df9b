/** What the commands that train have in common. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Layer } from "../config/index.js";
import { UsageError } from "../errors.js";
import type { Config } from "../recipes/config.js";
import type { RunOptions, RunResult } from "../recipes/train-in-folder.js";
import type { MetricRecord } from "../train/index.js";
import type { Context } from "./action.js";
import { type ConfigOptions, configLayers } from "./config-options.js";

/** Options of a command that trains. */
export interface TrainingFlags extends ConfigOptions {
  runDir?: string | undefined;
  resume?: boolean | undefined;
  overwrite?: boolean | undefined;
  dryRun?: boolean | undefined;
}

export const resumeFlag = ["--resume", "go on with the run that is there"] as const;
export const overwriteFlag = ["--overwrite", "replace the run that is there"] as const;
export const dryRunFlag = [
  "--dry-run",
  "say what the training would take, and do nothing",
] as const;

/** What is no number is left to the configuration to refuse by name. */
export const numberOption = (text: string): number =>
  text.trim() === "" ? Number.NaN : Number(text);

/**
 * The configuration of a training; of a run that goes on, its own comes first.
 *
 * @param own the command's flags, as options
 */
export async function trainingConfigOf(
  context: Context,
  flags: TrainingFlags,
  own: Layer,
): Promise<Config> {
  const { resume = false, overwrite = false, runDir } = flags;
  if (resume && overwrite) throw new UsageError("give --resume or --overwrite, not both");
  if (resume && runDir === undefined) throw new UsageError("--resume needs --run-dir, the run");
  const [{ resolveConfig }, { configSchema }] = await Promise.all([
    import("../config/index.js"),
    import("../recipes/config.js"),
  ]);
  const layers = [...(await configLayers(flags, context)), own];
  if (resume && runDir !== undefined) {
    const { configOfRun } = await import("../recipes/config-of-run.js");
    const value = await configOfRun(runDir);
    layers.unshift({ value, where: () => join(runDir, "config.resolved.json") });
  }
  return resolveConfig(configSchema, layers);
}

/** How the recipe is to run. @param otherwise the run folder without `--run-dir` */
export async function runOptionsOf(
  { signal, onProgress, note }: Context,
  { resume, overwrite, runDir, config }: TrainingFlags,
  { otherwise, monitor }: { readonly otherwise: string; readonly monitor: string },
): Promise<RunOptions> {
  return {
    folder: runDir ?? otherwise,
    ...{ resume, overwrite, signal, onProgress },
    command: ["user-llm", ...process.argv.slice(2)],
    configText: config === undefined ? undefined : await readFile(config, "utf8"),
    onLog: noteValidations(monitor, note),
    onNote: note,
  };
}

/** Says a line for each validation. */
function noteValidations(
  monitor: string,
  note: (message: string) => void,
): (record: MetricRecord) => void {
  let best = Number.NEGATIVE_INFINITY;
  return ({ split, epoch, values }) => {
    const value = split === "validation" ? values[monitor] : undefined;
    if (value === undefined) return;
    const remark = value > best ? ", the best so far" : "";
    best = Math.max(best, value);
    note(`epoch ${epoch.toFixed(2)}: ${monitor} ${value.toFixed(4)}${remark}`);
  };
}

/** Of a training that was aborted: how it goes on. */
export const describeStop = ({ steps, folder }: RunResult): string =>
  `stopped after step ${steps}; go on with --resume --run-dir ${folder}\n`;
