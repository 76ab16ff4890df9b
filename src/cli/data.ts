import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "./action.js";
import { examples } from "./help.js";

/** `user-llm data ...`: raw files to prepared folders, and what is in those. */
export function addDataCommand(program: CommandUnknownOpts, _cli: Cli): void {
  program
    .command("data")
    .description("prepare, inspect and check data")
    .addHelpText("after", examples("user-llm data prepare --help"));
}
