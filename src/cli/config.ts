import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "./action.js";
import { addConfigCheckCommand } from "./config/check.js";
import { addConfigResolveCommand } from "./config/resolve.js";
import { addConfigSchemaCommand } from "./config/schema.js";
import { examples } from "./help.js";

/** `user-llm config ...`: what may be configured, and whether it is. */
export function addConfigCommand(program: CommandUnknownOpts, cli: Cli): void {
  const config = program
    .command("config")
    .description("check and show configurations")
    .addHelpText(
      "after",
      examples(
        "user-llm config check -c cfg.yaml",
        "user-llm config resolve -c cfg.yaml --set seed=7",
      ),
    );
  addConfigCheckCommand(config, cli);
  addConfigResolveCommand(config, cli);
  addConfigSchemaCommand(config, cli);
}
