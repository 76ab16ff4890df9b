import { join } from "node:path";
import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
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

/** `user-llm eval`: how well a saved encoder ranks. */
export function addEvalCommand(program: CommandUnknownOpts, cli: Cli): void {
  program
    .command("eval")
    .description("rank the whole catalogue with a trained encoder, beside baselines")
    .argument("<encoder>", "a run, one of its checkpoints, or an exported encoder")
    .option(...configFlag)
    .option(...setFlag, repeated)
    .option("--data <folder>", "the prepared data it was trained on; else as the run says")
    .addOption(
      new Option("--part <name>", "whose targets are ranked")
        .choices(["validation", "test"] as const)
        .default("test" as const),
    )
    .option("--no-baselines", "the encoder alone")
    .option("--out <folder>", "where ranks of every user go; else not written")
    .option(...pluginFlag, repeated)
    .addHelpText(
      "after",
      examples(
        "user-llm eval runs/sasrec",
        "user-llm eval runs/sasrec/checkpoints/step-2000 --part validation --no-baselines",
        "user-llm eval runs/sasrec --json > sasrec.json",
      ),
    )
    .action(cli.action((context, encoder, options) => evaluate(context, encoder, options)));
}

interface EvalFlags extends ConfigOptions {
  data?: string | undefined;
  part: "validation" | "test";
  baselines: boolean;
  out?: string | undefined;
  plugin?: readonly string[] | undefined;
}

async function evaluate(context: Context, encoder: string, flags: EvalFlags): Promise<Result> {
  const [{ resolveConfig }, { configSchema }, { configOfRun }, recipe, rankings, text] =
    await Promise.all([
      import("../config/index.js"),
      import("../recipes/config.js"),
      import("../recipes/config-of-run.js"),
      import("../recipes/evaluate.js"),
      import("../recipes/rankings.js"),
      import("./rankings-text.js"),
    ]);
  const layers = [...(await configLayers(flags, context)), flagLayer(flags)];
  if (flags.config === undefined) {
    const value = await configOfRun(encoder);
    layers.unshift({ value, where: () => join(encoder, "config.resolved.json") });
  }
  const config = resolveConfig(configSchema, layers);
  const { signal, onProgress } = context;
  const custom = await readPlugins(flags.plugin);
  const { part, out } = flags;
  const options = { part, custom, signal, onProgress };
  const results = await recipe.evaluateEncoder(encoder, config, options);
  if (out !== undefined) await rankings.writeRankings(out, results);
  return { document: { results }, text: text.describeRankings(results) };
}

function flagLayer({ data, baselines }: EvalFlags) {
  const value = {
    data: given({ out: data }),
    evaluate: baselines ? undefined : { baselines: [] },
  };
  return { value: given(value) ?? {}, where: () => "--data" };
}
