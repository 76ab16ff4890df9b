import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "../action.js";
import { configFlag, configLayers, repeated, setFlag } from "../config-options.js";
import { examples } from "../help.js";

/** `user-llm config resolve`: every option with the value that a run would have. */
export function addConfigResolveCommand(config: CommandUnknownOpts, cli: Cli): void {
  config
    .command("resolve")
    .description("print the configuration with all defaults, as YAML or with --json as JSON")
    .option(...configFlag)
    .option(...setFlag, repeated)
    .addHelpText(
      "after",
      examples(
        "user-llm config resolve",
        "user-llm config resolve -c cfg.yaml --set data.split.length=20",
      ),
    )
    .action(
      cli.action(async (context, options) => {
        const { resolveConfig } = await import("../../config/index.js");
        const { configSchema } = await import("../../recipes/config.js");
        const { stringify } = await import("yaml");
        const resolved = resolveConfig(configSchema, await configLayers(options, context));
        return { document: { config: resolved }, text: stringify(resolved) };
      }),
    );
}
