import { basename, join, resolve } from "node:path";
import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import type { Layer } from "../config/index.js";
import type { FinetuneConfig } from "../recipes/finetune/config.js";
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

/** `user-llm finetune`: a language model goes on learning. */
export function addFinetuneCommand(program: CommandUnknownOpts, cli: Cli): void {
  program
    .command("finetune")
    .description("train a language model further on examples, by LoRA or in full")
    .option(...configFlag)
    .option(...setFlag, repeated)
    .option("--llm <model>", "the model: a folder, or an id on the Hugging Face hub")
    .option(
      "--data <path>",
      "a file, folder or pattern of .jsonl files with prompt and completion, also in gzip; may be repeated",
      repeated,
    )
    .addOption(
      new Option("--strategy <kind>", "adapters beside frozen weights, or all weights").choices([
        "lora",
        "full",
      ]),
    )
    .option("--epochs <number>", "passes over the examples", numberOption)
    .option("--seed <number>", "what every random choice starts from", numberOption)
    .option("--run-dir <folder>", "the run folder; else runs/<llm>-<strategy>")
    .option(...resumeFlag)
    .option(...overwriteFlag)
    .option(...dryRunFlag)
    .addHelpText(
      "after",
      examples(
        "user-llm finetune --llm models/tiny --data examples.jsonl --run-dir runs/tuned",
        "user-llm finetune -c cfg.yaml --data chats.jsonl --set finetune.data.messages=messages",
        "user-llm finetune -c cfg.yaml --strategy full --dry-run",
        "user-llm finetune --run-dir runs/tuned --resume",
      ),
    )
    .action(cli.action((context, options) => finetuneOrPlan(context, options)));
}

interface FinetuneFlags extends TrainingFlags {
  llm?: string | undefined;
  data?: readonly string[] | undefined;
  strategy?: string | undefined;
  epochs?: number | undefined;
  seed?: number | undefined;
}

async function finetuneOrPlan(context: Context, flags: FinetuneFlags): Promise<Result> {
  const config = await trainingConfigOf(context, flags, flagLayer(flags));
  const { signal, onProgress } = context;
  if (flags.dryRun) {
    const [{ planFinetuning }, { describeFinetuningPlan }] = await Promise.all([
      import("../recipes/finetune/index.js"),
      import("./plan-text.js"),
    ]);
    const plan = await planFinetuning(config, { signal, onProgress });
    return { document: { plan }, text: describeFinetuningPlan(plan, context.colours) };
  }
  const { finetune } = await import("../recipes/finetune/index.js");
  const section = config.finetune;
  const result = await finetune(
    config,
    await runOptionsOf(context, flags, {
      otherwise: defaultFolder(section),
      monitor: section?.training.monitor ?? "",
    }),
  );
  return { document: { ...result }, text: describe(result, section) };
}

function flagLayer({ llm, data: files, strategy, epochs, seed }: FinetuneFlags): Layer {
  const finetune = given({
    ...{ llm, strategy },
    data: given({ files }),
    training: given({ epochs }),
  });
  return {
    value: given({ seed, finetune }) ?? {},
    where: (path) => (path.at(-1) === "files" ? "--data" : `--${path.at(-1)}`),
  };
}

function defaultFolder(section: FinetuneConfig | undefined): string {
  const { llm = "llm", strategy = "lora" } = section ?? {};
  return join("runs", `${basename(resolve(llm)).replace(/@.*$/, "")}-${strategy}`);
}

function describe(result: RunResult, section: FinetuneConfig | undefined): string {
  if (result.reason === "aborted") return describeStop(result);
  const { folder, steps, validation } = result;
  const { perplexity } = validation;
  const held =
    perplexity === undefined ? "" : `, perplexity ${perplexity.toFixed(2)} on held-out examples`;
  const made =
    section?.strategy === "full"
      ? "the model and its tokenizer are in model/"
      : "the adapter is in adapter/";
  return `${steps} steps${held}\n${folder}: ${made}\n`;
}
