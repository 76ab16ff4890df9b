import { readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import type { Layer } from "../config/index.js";
import { UsageError } from "../errors.js";
import type { Config } from "../recipes/config.js";
import type { PretrainResult } from "../recipes/pretrain.js";
import type { Cli, Context, Result } from "./action.js";
import {
  type ConfigOptions,
  configFlag,
  configLayers,
  repeated,
  setFlag,
} from "./config-options.js";
import { given } from "./data/mapping-flags.js";
import { examples } from "./help.js";
import { pluginFlag, readPlugins } from "./plugins.js";
import { parseSize } from "./size.js";

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
    .option("--resume", "go on with the run that is there")
    .option("--overwrite", "replace the run that is there")
    .option("--dry-run", "say what the training would take, and do nothing")
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

interface PretrainFlags extends ConfigOptions {
  data?: string | undefined;
  encoder?: string | undefined;
  epochs?: number | undefined;
  seed?: number | undefined;
  runDir?: string | undefined;
  resume?: boolean | undefined;
  overwrite?: boolean | undefined;
  dryRun?: boolean | undefined;
  plugin?: readonly string[] | undefined;
}

async function pretrainOrPlan(context: Context, flags: PretrainFlags): Promise<Result> {
  const { resume = false, overwrite = false, runDir, dryRun = false } = flags;
  if (resume && overwrite) throw new UsageError("give --resume or --overwrite, not both");
  if (resume && runDir === undefined) throw new UsageError("--resume needs --run-dir, the run");
  const config = await configOf(context, flags);
  const custom = await readPlugins(flags.plugin);
  const { signal, onProgress } = context;
  const { ensurePrepared } = await import("../recipes/ensure-prepared.js");
  const memoryLimit = parseSize(String(config.data.memoryLimit));
  if (await ensurePrepared(config.data, memoryLimit, { signal, onProgress }))
    context.note(`prepared ${config.data.out}`);
  if (dryRun) {
    const [{ planPretraining }, { describePlan }] = await Promise.all([
      import("../recipes/plan.js"),
      import("./plan-text.js"),
    ]);
    const plan = await planPretraining(config, { custom, signal, onProgress });
    return { document: { plan }, text: describePlan(plan, context.colours) };
  }
  const { pretrain } = await import("../recipes/pretrain.js");
  const { monitor } = config.pretrain;
  let best = Number.NEGATIVE_INFINITY;
  const result = await pretrain(config, {
    folder: runDir ?? defaultFolder(config),
    ...{ resume, overwrite, custom, signal, onProgress },
    command: ["user-llm", ...process.argv.slice(2)],
    configText: flags.config === undefined ? undefined : await readFile(flags.config, "utf8"),
    onLog({ split, epoch, values }) {
      const value = split === "validation" ? values[monitor] : undefined;
      if (value === undefined) return;
      const remark = value > best ? ", the best so far" : "";
      best = Math.max(best, value);
      context.note(`epoch ${epoch.toFixed(2)}: ${monitor} ${value.toFixed(4)}${remark}`);
    },
  });
  return { document: { ...result }, text: await describe(result) };
}

/** Of a run that goes on, its own configuration comes first. */
async function configOf(context: Context, flags: PretrainFlags): Promise<Config> {
  const [{ resolveConfig }, { configSchema }] = await Promise.all([
    import("../config/index.js"),
    import("../recipes/config.js"),
  ]);
  const layers = [...(await configLayers(flags, context)), flagLayer(flags)];
  if (flags.resume && flags.runDir !== undefined) {
    const { configOfRun } = await import("../recipes/config-of-run.js");
    const value = await configOfRun(flags.runDir);
    layers.unshift({ value, where: () => join(flags.runDir!, "config.resolved.json") });
  }
  return resolveConfig(configSchema, layers);
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

async function describe({ folder, reason, steps, test }: PretrainResult): Promise<string> {
  if (reason === "aborted")
    return `stopped after step ${steps}; go on with --resume --run-dir ${folder}\n`;
  const { describeRankings } = await import("./rankings-text.js");
  return `${describeRankings(test)}\n${folder}: the encoder is in encoder/, ranks of every user in eval/test/\n`;
}

/** What is no number is left to the configuration to refuse by name. */
const numberOption = (text: string): number => (text.trim() === "" ? Number.NaN : Number(text));
