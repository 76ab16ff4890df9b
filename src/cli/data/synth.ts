import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { UsageError } from "../../errors.js";
import type { Cli, Context, Result } from "../action.js";
import { examples } from "../help.js";
import { wholeOption } from "../size.js";
import { visible } from "../text.js";
import { describeManifest } from "./manifest-text.js";

/** `user-llm data synth`: invented histories whose best ranking is known. */
export function addSynthCommand(data: CommandUnknownOpts, cli: Cli): void {
  data
    .command("synth")
    .description("invent users, items, ratings and reviews, whose best ranking is known")
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
    .option("--oracle-users <number>", "users to average the best ranking over", wholeOption(0))
    .option("--overwrite", "replace prepared data that is there already")
    .option("--raw", "ratings.csv and movies.csv in the layout of MovieLens, without reviews")
    .addOption(
      new Option("--row-order <order>", "of a user's raw rows; MovieLens has them by item").choices(
        ["time", "item"],
      ),
    )
    .addHelpText(
      "after",
      examples(
        "user-llm data synth --out prepared/small --seed 7",
        "user-llm data synth --out raw --preset ml-20m --raw",
      ),
    )
    .action(
      cli.action((context, { raw, ...flags }) =>
        raw === true ? writeRaw(context, flags) : writePrepared(context, flags),
      ),
    );
}

interface SynthFlags {
  out: string;
  preset: "tiny" | "small" | "ml-1m" | "ml-20m";
  seed?: number | undefined;
  users?: number | undefined;
  items?: number | undefined;
  events?: number | undefined;
  oracleUsers?: number | undefined;
  overwrite?: boolean | undefined;
  rowOrder?: "time" | "item" | undefined;
}

async function writePrepared(context: Context, flags: SynthFlags): Promise<Result> {
  const { out, rowOrder, ...chosen } = flags;
  if (rowOrder !== undefined) throw new UsageError("--row-order is of --raw");
  const { signal, onProgress } = context;
  const { prepareSynthetic } = await import("../../data/synthetic/prepare-synthetic.js");
  const manifest = await prepareSynthetic(out, { ...chosen, signal, onProgress });
  return { document: { folder: out, manifest }, text: describeManifest(out, manifest) };
}

async function writeRaw(context: Context, flags: SynthFlags): Promise<Result> {
  const { out, overwrite, ...chosen } = flags;
  if (overwrite === true) throw new UsageError("--overwrite is of prepared data, not of --raw");
  const { signal, onProgress } = context;
  const { writeSynthetic } = await import("../../data/synthetic/write-synthetic.js");
  await writeSynthetic(out, { ...chosen, signal, onProgress });
  return {
    document: { folder: out },
    text: `${visible(out)}: ratings.csv, movies.csv, synthetic.json\n`,
  };
}
