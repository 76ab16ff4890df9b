import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import type { Cli } from "../action.js";
import { examples } from "../help.js";
import { wholeOption } from "../size.js";
import { visible } from "../text.js";

/** `user-llm data synth`: invented histories whose best ranking is known. */
export function addSynthCommand(data: CommandUnknownOpts, cli: Cli): void {
  data
    .command("synth")
    .description("write invented ratings in the layout of MovieLens, for tests and benchmarks")
    .requiredOption("--out <folder>", "folder to make")
    .addOption(
      new Option("--preset <name>", "size and shape")
        .choices(["tiny", "small", "ml-1m", "ml-20m"])
        .default("small"),
    )
    .option("--seed <number>", "of all random choices (default: 1)", wholeOption(0))
    .option("--users <number>", "in place of the preset's", wholeOption(1))
    .option("--items <number>", "in place of the preset's", wholeOption(3))
    .option("--events <number>", "of all users together", wholeOption(1))
    .addOption(
      new Option(
        "--row-order <order>",
        "order of a user's rows: by time, or by item as in MovieLens",
      )
        .choices(["time", "item"])
        .default("time"),
    )
    .addHelpText(
      "after",
      examples(
        "user-llm data synth --preset tiny --out raw/tiny",
        "user-llm data prepare --source movielens --input raw/tiny --out prepared/tiny",
      ),
    )
    .action(
      cli.action(async ({ signal, onProgress }, { out, ...options }) => {
        const { writeSynthetic } = await import("../../data/synthetic/write-synthetic.js");
        await writeSynthetic(out, { ...options, signal, onProgress });
        return {
          document: { folder: out, ...options },
          text: `${visible(out)}: invented ratings, preset ${options.preset}\n`,
        };
      }),
    );
}
