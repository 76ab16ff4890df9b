import { existsSync } from "node:fs";
import { join } from "node:path";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "../action.js";
import { examples } from "../help.js";
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
        const path = !existsSync(run) && existsSync(join("runs", run)) ? join("runs", run) : run;
        const details = await readRun(path);
        return { document: { run: details }, text: describeRun(details, { colours, columns }) };
      }),
    );
}
