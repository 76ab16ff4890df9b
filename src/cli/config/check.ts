import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "../action.js";
import { configFlag, configLayers, repeated, setFlag } from "../config-options.js";
import { exitCodes } from "../exit-code.js";
import { examples } from "../help.js";

/** `user-llm config check`: every problem of a configuration. */
export function addConfigCheckCommand(config: CommandUnknownOpts, cli: Cli): void {
  config
    .command("check")
    .description("list every problem of a configuration; exit code 2 if there is one")
    .requiredOption(...configFlag)
    .option(...setFlag, repeated)
    .addHelpText("after", examples("user-llm config check -c cfg.yaml"))
    .action(
      cli.action(async (context, options) => {
        const { checkConfig } = await import("../../config/index.js");
        const { configSchema } = await import("../../recipes/config.js");
        const { problems } = checkConfig(configSchema, await configLayers(options, context));
        const valid = problems.length === 0;
        return {
          document: { valid, problems },
          text: valid
            ? `${options.config}: no problems\n`
            : problems.map(({ message }) => `${message}\n`).join(""),
          exitCode: valid ? exitCodes.ok : exitCodes.usage,
        };
      }),
    );
}
