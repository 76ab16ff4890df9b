import { readFileSync } from "node:fs";
import { Command, CommanderError, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { UsageError } from "../errors.js";
import { Cli, fail, reporterFor } from "./action.js";
import { addBuildCommand } from "./build.js";
import { addConfigCommand } from "./config.js";
import { addDataCommand } from "./data.js";
import { addDoctorCommand } from "./doctor.js";
import { addEmbedCommand } from "./embed.js";
import { addEvalCommand } from "./eval.js";
import { exitCodes } from "./exit-code.js";
import { addFinetuneCommand } from "./finetune.js";
import { addGenerateCommand } from "./generate.js";
import { addCommonOptions, examples } from "./help.js";
import type { Host } from "./host.js";
import { addMergeCommand } from "./merge.js";
import { addPretrainCommand } from "./pretrain.js";
import { addPretrainLmCommand } from "./pretrain-lm.js";
import { type ProgressMode, progressModes } from "./progress/reporter.js";
import { addRunsCommand } from "./runs.js";
import { addSweepCommand } from "./sweep.js";

interface Package {
  version: string;
  description: string;
}

/**
 * Runs a command line and gives its exit code. Nothing is written but on the host's streams.
 *
 * @param args without Node and the script
 * @param addCommands all of them by default
 */
export async function main(
  args: readonly string[],
  host: Host,
  addCommands: (program: CommandUnknownOpts, cli: Cli) => void = addAllCommands,
): Promise<number> {
  const cli = new Cli(host);
  const options = glance(args);
  const program = createProgram(host, options.color);
  addCommands(program, cli);
  try {
    await program.parseAsync(args, { from: "user" });
    return cli.exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.ok; // --help, --version
    const told = isBareGroup(error) && !options.json; // Its help was shown in place of an error.
    if (told) return exitCodes.usage;
    return fail(host, reporterFor(host, options), usageError(error), options.json);
  }
}

/** What the commands need is loaded by their actions, so that `--help` is quick and works without the addon. */
export function addAllCommands(program: CommandUnknownOpts, cli: Cli): void {
  addDataCommand(program, cli);
  addPretrainCommand(program, cli);
  addEvalCommand(program, cli);
  addSweepCommand(program, cli);
  addEmbedCommand(program, cli);
  addPretrainLmCommand(program, cli);
  addGenerateCommand(program, cli);
  addFinetuneCommand(program, cli);
  addMergeCommand(program, cli);
  addConfigCommand(program, cli);
  addRunsCommand(program, cli);
  addDoctorCommand(program, cli);
  addBuildCommand(program, cli);
}

function createProgram(host: Host, colour: boolean): Command {
  const { version, description } = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  ) as Package;
  const program = new Command("user-llm")
    .description(description)
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand("help [command]", "show the help of a command")
    .exitOverride();
  addCommonOptions(program, host, colour);
  return program.addHelpText(
    "after",
    examples(
      "user-llm doctor",
      "user-llm data prepare --source movielens --input ml-latest-small --out prepared/ml-small",
      "user-llm help config check",
    ),
  );
}

/** The common options as far as an error before or during parsing needs them. */
function glance(args: readonly string[]): {
  json: boolean;
  color: boolean;
  progress: ProgressMode | undefined;
} {
  const end = args.indexOf("--");
  const flags = end < 0 ? args : args.slice(0, end);
  const mode = /(?:^|\n)--progress[=\n](\w+)/.exec(flags.join("\n"))?.[1];
  return {
    json: flags.includes("--json"),
    color: !flags.includes("--no-color"),
    progress: progressModes.find((name) => name === mode),
  };
}

/** `user-llm` or `user-llm data` without a command. */
const isBareGroup = (error: unknown): boolean =>
  error instanceof CommanderError && error.code === "commander.help";

/** Commander's `error: unknown option '--jsn'\n(Did you mean --json?)` in our words. */
function usageError(error: unknown): unknown {
  if (!(error instanceof CommanderError)) return error;
  if (isBareGroup(error)) return new UsageError("a command is missing");
  const message = error.message
    .replace(/^error: /, "")
    .replace(/\.?\s*\((?:Did you mean )(.*?)\?\)/s, "; did you mean $1?")
    .replaceAll("'", '"');
  return new UsageError(message);
}
