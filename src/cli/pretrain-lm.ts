import { basename, join, resolve } from "node:path";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Layer } from "../config/index.js";
import type { PretrainLmConfig } from "../recipes/pretrain-lm/config.js";
import type { RunResult } from "../recipes/train-in-folder.js";
import type { Cli, Context, Result } from "./action.js";
import { configFlag, repeated, setFlag } from "./config-options.js";
import { given } from "./data/mapping-flags.js";
import { examples } from "./help.js";
import {
  describeStop,
  dryRunFlag,
  numberOption,
  overwriteFlag,
  resumeFlag,
  runOptionsOf,
  type TrainingFlags,
  trainingConfigOf,
} from "./training-command.js";

/** `user-llm pretrain-lm`: a language model from scratch. */
export function addPretrainLmCommand(program: CommandUnknownOpts, cli: Cli): void {
  program
    .command("pretrain-lm")
    .description("train a small language model and its tokenizer on texts, from scratch")
    .option(...configFlag)
    .option(...setFlag, repeated)
    .option(
      "--texts <path>",
      "a file, folder or pattern of .txt and .jsonl files, also in gzip; may be repeated",
      repeated,
    )
    .option("--separator <text>", "what stands between documents of a .txt file")
    .option("--epochs <number>", "passes over the training texts", numberOption)
    .option("--seed <number>", "what every random choice starts from", numberOption)
    .option("--run-dir <folder>", "the run folder; else runs/<texts>-lm")
    .option(...resumeFlag)
    .option(...overwriteFlag)
    .option(...dryRunFlag)
    .addHelpText(
      "after",
      examples(
        "user-llm pretrain-lm --texts stories/ --run-dir runs/stories",
        "user-llm pretrain-lm --texts 'stories/**/*.txt.gz' --separator '<|endoftext|>'",
        "user-llm pretrain-lm --texts reviews.jsonl --set pretrainLm.texts.field=reviewText --dry-run",
        "user-llm pretrain-lm --run-dir runs/stories --resume",
      ),
    )
    .action(cli.action((context, options) => pretrainOrPlan(context, options)));
}

interface PretrainLmFlags extends TrainingFlags {
  texts?: readonly string[] | undefined;
  separator?: string | undefined;
  epochs?: number | undefined;
  seed?: number | undefined;
}

async function pretrainOrPlan(context: Context, flags: PretrainLmFlags): Promise<Result> {
  const config = await trainingConfigOf(context, flags, flagLayer(flags));
  const { signal, onProgress } = context;
  if (flags.dryRun) {
    const [{ planLm }, { describeLmPlan }] = await Promise.all([
      import("../recipes/pretrain-lm/index.js"),
      import("./plan-text.js"),
    ]);
    const plan = await planLm(config, { signal, onProgress });
    return { document: { plan }, text: describeLmPlan(plan, context.colours) };
  }
  const { pretrainLm } = await import("../recipes/pretrain-lm/index.js");
  const section = config.pretrainLm;
  const result = await pretrainLm(
    config,
    await runOptionsOf(context, flags, {
      otherwise: defaultFolder(section),
      monitor: section?.training.monitor ?? "",
    }),
  );
  return { document: { ...result }, text: describe(result) };
}

function flagLayer({ texts: files, separator, epochs, seed }: PretrainLmFlags): Layer {
  const pretrainLm = given({ texts: given({ files, separator }), training: given({ epochs }) });
  const flags: Record<string, string> = { files: "--texts" };
  return {
    value: given({ seed, pretrainLm }) ?? {},
    where: (path) => {
      const name = String(path.at(-1));
      return flags[name] ?? `--${name}`;
    },
  };
}

function defaultFolder(section: PretrainLmConfig | undefined): string {
  const name = basename(resolve(section?.texts.files[0] ?? "texts")).replace(/[^\w-].*$/, "");
  return join("runs", `${name || "texts"}-lm`);
}

function describe(result: RunResult): string {
  if (result.reason === "aborted") return describeStop(result);
  const { folder, steps, validation } = result;
  const { perplexity, bitsPerByte } = validation;
  const held =
    perplexity === undefined
      ? ""
      : `, perplexity ${perplexity.toFixed(2)}, ${bitsPerByte!.toFixed(3)} bits per byte on held-out documents`;
  return `${steps} steps${held}\n${folder}: the model and its tokenizer are in model/\n`;
}
