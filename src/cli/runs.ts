import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "./action.js";
import { examples } from "./help.js";
import { addRunsListCommand } from "./runs/list.js";
import { addRunsShowCommand } from "./runs/show.js";

/** `user-llm runs ...`: what training has left. */
export function addRunsCommand(program: CommandUnknownOpts, cli: Cli): void {
  const runs = program
    .command("runs")
    .description("list and show runs")
    .addHelpText("after", examples("user-llm runs ls", "user-llm runs show runs/first"));
  addRunsListCommand(runs, cli);
  addRunsShowCommand(runs, cli);
}
