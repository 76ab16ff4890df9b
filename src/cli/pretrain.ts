import { basename, join, resolve } from "node:path";
import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import type { Layer } from "../config/index.js";
import type { Config } from "../recipes/config.js";
import type { PretrainResult } from "../recipes/pretrain.js";
import type { Cli, Context, Result } from "./action.js";
import { configFlag, repeated, setFlag } from "./config-options.js";
import { given } from "./data/mapping-flags.js";
import { examples } from "./help.js";
import { pluginFlag, readPlugins } from "./plugins.js";
import { parseSize } from "./size.js";
import {
  describeStop,
  dryRunFlag,
  numberOption,
  overwriteFlag,
  resumeFlag,
  runOptionsOf,
  type TrainingFlags,
  trainingConfigOf,
} from "./training-command.js";

/** `user-llm pretrain`: stage 1. */
export function addPretrainCommand(program: CommandUnknownOpts, cli: Cli): void {
  program
    .command("pretrain")
    .description("train a user encoder on prepared data, and rank the catalogue with it")
    .option(...configFlag)
    .option(...setFlag, repeated)
    .option(
      "--data <folder>",
      "prepared data; where the configuration says how, it is prepared first",
    )
    .addOption(
      new Option("--encoder <kind>", "which encoder").choices([
        "autoregressive",
        "sasrec",
        "dual",
        "bert4rec",
        "custom",
      ]),
    )
    .option("--epochs <number>", "passes over the training windows", numberOption)
    .option("--seed <number>", "what every random choice starts from", numberOption)
    .option("--run-dir <folder>", "the run folder; else runs/<data>-<encoder>")
    .option(...resumeFlag)
    .option(...overwriteFlag)
    .option(...dryRunFlag)
    .option(...pluginFlag, repeated)
    .addHelpText(
      "after",
      examples(
        "user-llm pretrain --data prepared/ml-small --set data.split.windows=padded",
        "user-llm pretrain -c configs/ml-1m-sasrec.yaml --run-dir runs/sasrec --seed 7",
        "user-llm pretrain -c cfg.yaml --dry-run",
        "user-llm pretrain -c cfg.yaml --resume",
        "user-llm pretrain -c cfg.yaml --encoder custom --set encoder.name=mine --plugin ./mine.mjs",
      ),
    )
    .action(cli.action((context, options) => pretrainOrPlan(context, options)));
}

interface PretrainFlags extends TrainingFlags {
  data?: string | undefined;
  encoder?: string | undefined;
  epochs?: number | undefined;
  seed?: number | undefined;
  plugin?: readonly string[] | undefined;
}

async function pretrainOrPlan(context: Context, flags: PretrainFlags): Promise<Result> {
  const config = await trainingConfigOf(context, flags, flagLayer(flags));
  const custom = await readPlugins(flags.plugin);
  const { signal, onProgress } = context;
  const { ensurePrepared } = await import("../recipes/ensure-prepared.js");
  const memoryLimit = parseSize(String(config.data.memoryLimit));
  if (await ensurePrepared(config.data, memoryLimit, { signal, onProgress }))
    context.note(`prepared ${config.data.out}`);
  if (flags.dryRun) {
    const [{ planPretraining }, { describePretrainingPlan }] = await Promise.all([
      import("../recipes/plan.js"),
      import("./plan-text.js"),
    ]);
    const plan = await planPretraining(config, { custom, signal, onProgress });
    return { document: { plan }, text: describePretrainingPlan(plan, context.colours) };
  }
  const { pretrain } = await import("../recipes/pretrain.js");
  const { monitor } = config.pretrain;
  const run = await runOptionsOf(context, flags, { otherwise: defaultFolder(config), monitor });
  const result = await pretrain(config, { ...run, custom });
  return { document: { ...result }, text: await describe(result) };
}

function flagLayer({ data, encoder, epochs, seed }: PretrainFlags): Layer {
  const value = {
    seed,
    data: given({ out: data }),
    encoder: given({ kind: encoder }),
    pretrain: given({ epochs }),
  };
  const flags: Record<string, string> = { data: "--data", pretrain: "--epochs" };
  return { value: given(value) ?? {}, where: ([section]) => flags[section!] ?? `--${section}` };
}

function defaultFolder({ data, encoder }: Config): string {
  const name = encoder.kind === "custom" ? encoder.name : encoder.kind;
  const of = data.out === undefined ? "data" : basename(resolve(data.out));
  return join("runs", `${of}-${name}`);
}

async function describe(result: PretrainResult): Promise<string> {
  if (result.reason === "aborted") return describeStop(result);
  const { folder, test } = result;
  const { describeRankings } = await import("./rankings-text.js");
  return `${describeRankings(test)}\n${folder}: the encoder is in encoder/, ranks of every user in eval/test/\n`;
}
