import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "./action.js";
import { examples } from "./help.js";
import { addRunsCompareCommand } from "./runs/compare.js";
import { addRunsListCommand } from "./runs/list.js";
import { addRunsShowCommand } from "./runs/show.js";

/** `user-llm runs ...`: what training has left. */
export function addRunsCommand(program: CommandUnknownOpts, cli: Cli): void {
  const runs = program
    .command("runs")
    .description("list, show and compare runs")
    .addHelpText(
      "after",
      examples(
        "user-llm runs ls",
        "user-llm runs show runs/first",
        "user-llm runs compare runs/first runs/second",
      ),
    );
  addRunsListCommand(runs, cli);
  addRunsShowCommand(runs, cli);
  addRunsCompareCommand(runs, cli);
}
