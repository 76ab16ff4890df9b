import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { RunTrial } from "../recipes/sweep.js";
import type { Cli, Context, Result } from "./action.js";
import {
  type ConfigOptions,
  configFlag,
  configLayers,
  repeated,
  setFlag,
} from "./config-options.js";
import { examples } from "./help.js";
import { pluginFlag, readPlugins } from "./plugins.js";
import { describePlan, describeSweep, describeTrial } from "./sweep-text.js";

/** How a trial is run, with encoders of the user's own; loaded when there is one to run. */
export type LoadTrial = (plugins: readonly string[] | undefined) => Promise<RunTrial>;

const loadPretraining: LoadTrial = async (plugins) => {
  const { pretrainTrial } = await import("../recipes/pretrain-trial.js");
  return pretrainTrial(await readPlugins(plugins));
};

interface SweepFlags extends ConfigOptions {
  out: string;
  resume?: true | undefined;
  retryFailed?: true | undefined;
  dryRun?: true | undefined;
  plugin?: readonly string[] | undefined;
}

/** `user-llm sweep`: pretraining with many values of options, compared on validation data. */
export function addSweepCommand(
  program: CommandUnknownOpts,
  cli: Cli,
  load: LoadTrial = loadPretraining,
): void {
  program
    .command("sweep")
    .description("pretrain with the option values of a grid, or drawn ones, and compare them")
    .requiredOption("--out <folder>", "folder of the sweep, with a run folder for each trial")
    .option(...configFlag)
    .option(...setFlag, repeated)
    .option("--resume", "go on with the sweep in the folder")
    .option("--retry-failed", "with --resume, run trials again that have failed")
    .option("--dry-run", "only list the trials")
    .option(...pluginFlag, repeated)
    .addHelpText(
      "after",
      examples(
        "user-llm sweep -c cfg.yaml --out sweeps/learning-rate --dry-run",
        "user-llm sweep -c cfg.yaml --out sweeps/learning-rate",
        "user-llm sweep -c cfg.yaml --out sweeps/learning-rate --resume",
      ),
    )
    .action(cli.action((context, flags: SweepFlags) => run(context, flags, load)));
}

async function run(context: Context, flags: SweepFlags, load: LoadTrial): Promise<Result> {
  const { out, resume, retryFailed, dryRun } = flags;
  const [{ resolveConfig }, { configSchema }, layers] = await Promise.all([
    import("../config/index.js"),
    import("../recipes/config.js"),
    configLayers(flags, context),
  ]);
  const config = resolveConfig(configSchema, layers);
  if (dryRun) {
    const { plannedTrials } = await import("../recipes/sweep.js");
    const trials = await plannedTrials(config, layers);
    return {
      document: { trials: trials.map(({ number, values }) => ({ number, values })) },
      text: describePlan(trials),
    };
  }
  const { sweep } = await import("../recipes/sweep.js");
  const { signal, onProgress, note, colours } = context;
  const summary = await sweep(config, {
    ...{ folder: out, layers, resume, retryFailed, signal, onProgress },
    runTrial: await load(flags.plugin),
    onTrial: (trial, soFar) => note(describeTrial(trial, soFar)),
  });
  return { document: { folder: out, ...summary }, text: describeSweep(out, summary, colours) };
}
