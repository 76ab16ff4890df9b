import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "../action.js";
import { examples } from "../help.js";
import { describeRuns } from "./list-text.js";

/** `user-llm runs ls`: the runs below a folder. */
export function addRunsListCommand(runs: CommandUnknownOpts, cli: Cli): void {
  runs
    .command("ls")
    .description("list the runs below a folder, the newest first")
    .argument("[folder]", "where to look", "runs")
    .addHelpText("after", examples("user-llm runs ls", "user-llm runs ls sweeps/width --json"))
    .action(
      cli.action(async ({ colours, columns }, folder, _options) => {
        const { listRuns } = await import("../../train/run/list-runs.js");
        const found = await listRuns(folder);
        const text = describeRuns(folder, found, { colours, columns, now: new Date() });
        return { document: { folder, runs: found }, text };
      }),
    );
}
