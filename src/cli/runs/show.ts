import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "../action.js";
import { examples } from "../help.js";
import { runPath } from "./run-path.js";
import { describeRun } from "./show-text.js";

/** `user-llm runs show`: all that a run folder tells. */
export function addRunsShowCommand(runs: CommandUnknownOpts, cli: Cli): void {
  runs
    .command("show")
    .description("show a run: its configuration, curves, results and checkpoints")
    .argument("<run>", "a run folder, or its name below runs")
    .addHelpText(
      "after",
      examples("user-llm runs show runs/first", "user-llm runs show first --json"),
    )
    .action(
      cli.action(async ({ colours, columns }, run, _options) => {
        const { readRun } = await import("../../train/run/run-details.js");
        const details = await readRun(runPath(run));
        return { document: { run: details }, text: describeRun(details, { colours, columns }) };
      }),
    );
}
