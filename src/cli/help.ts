import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { coloursFor } from "./colour.js";
import type { Host } from "./host.js";
import { progressModes } from "./progress/reporter.js";

/** Examples at the end of a command's help, a command line each. */
export const examples = (...lines: readonly string[]): string =>
  `\nExamples:\n${lines.map((line) => `  $ ${line}\n`).join("")}`;

/** Adds the options that every command has, and says how help looks. Commands made later inherit it. */
export function addCommonOptions(program: CommandUnknownOpts, host: Host, colour: boolean): void {
  const colours = coloursFor(host.stdout, host.env, !colour);
  program
    .option("--json", "print the result as one JSON document")
    .addOption(
      new Option("--progress <mode>", "how progress is shown on stderr")
        .choices(progressModes)
        .default("auto"),
    )
    .option("--no-color", "no colours; NO_COLOR=1 does the same")
    .option("-q, --quiet", "no progress and no notes, only errors")
    .configureHelp({
      showGlobalOptions: true,
      styleTitle: colours.bold,
      styleCommandText: colours.cyan,
      styleSubcommandText: colours.cyan,
      styleOptionText: colours.cyan,
      styleArgumentText: colours.cyan,
    })
    .configureOutput({
      writeOut: (text) => host.stdout.write(text),
      writeErr: (text) => host.stderr.write(text),
      outputError: () => {}, // Told by `main`, like every other error.
      getOutHelpWidth: () => host.stdout.columns ?? 100,
      getErrHelpWidth: () => host.stderr.columns ?? 100,
      getOutHasColors: () => true, // `colours` has decided.
      getErrHasColors: () => host.stderr.isTTY === true && colours.isColorSupported,
    });
}
