import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import type { Cli, Context, Result } from "./action.js";
import { examples } from "./help.js";

const dtypes = ["float32", "bfloat16", "float16"] as const;

/** `user-llm merge`: an adapter into the weights that it lies beside. */
export function addMergeCommand(program: CommandUnknownOpts, cli: Cli): void {
  program
    .command("merge")
    .description("write a language model with an adapter in its weights as a folder")
    .requiredOption("--llm <model>", "the base: a folder, or an id on the Hugging Face hub")
    .requiredOption("--adapter <folder>", "the adapter, in PEFT's layout")
    .requiredOption("--out <folder>", "the new folder, in which nothing may be")
    .addOption(
      new Option("--dtype <kind>", "what weights are stored as; else as the base's").choices(
        dtypes,
      ),
    )
    .addHelpText(
      "after",
      examples("user-llm merge --llm models/tiny --adapter runs/tuned/adapter --out models/tuned"),
    )
    .action(cli.action((context, options) => merge(context, options)));
}

interface MergeFlags {
  llm: string;
  adapter: string;
  out: string;
  dtype?: (typeof dtypes)[number] | undefined;
}

async function merge({ signal, onProgress }: Context, flags: MergeFlags): Promise<Result> {
  const { exportMerged } = await import("../recipes/finetune/index.js");
  const dtype = await exportMerged({ ...flags, signal, onProgress });
  return {
    document: { folder: flags.out, dtype },
    text: `${flags.out}: the model with the adapter in its weights, in ${dtype}\n`,
  };
}
