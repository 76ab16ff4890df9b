import { addAbortSignal } from "node:stream";
import { text as textOf } from "node:stream/consumers";
import { type CommandUnknownOpts, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { UsageError } from "../errors.js";
import type {
  GenerateOptions,
  Generation,
  GenerationChunk,
  LanguageModel,
  Prompt,
} from "../generate/index.js";
import type { Cli, Context, Result } from "./action.js";
import { repeated } from "./config-options.js";
import { examples } from "./help.js";

/** `user-llm generate`: a language model answers. */
export function addGenerateCommand(program: CommandUnknownOpts, cli: Cli): void {
  program
    .command("generate")
    .description("let a language model go on with a text, or answer a message")
    .requiredOption("--llm <model>", "folder of a model, or its id on the hub: org/name[@revision]")
    .option("--adapter <folder>", "low-rank adapters for it, in PEFT's layout")
    .requiredOption("--prompt <text>", "what it goes on with; - reads it from standard input")
    .option("--chat", "put the prompt as a message of the user, in the model's chat template")
    .option("--system <text>", "with --chat: a message of the system before it")
    .option("--max-new-tokens <count>", "tokens of the answer at most", wholeNumber, 128)
    .option("--temperature <number>", "draw tokens; 0 takes the most probable ones", anyNumber)
    .option("--top-k <count>", "draw from the so many most probable tokens", wholeNumber)
    .option("--top-p <number>", "draw from the most probable tokens up to this sum", anyNumber)
    .option("--min-p <number>", "draw from tokens with this share of the largest", anyNumber)
    .option("--repetition-penalty <number>", "above 1: repeat less", anyNumber)
    .option("--beams <count>", "search for the most probable answer, with so many", wholeNumber)
    .option("--stop <text>", "a text that ends the answer; may be repeated", repeated)
    .option("--seed <number>", "what draws start from", wholeNumber)
    .addOption(
      new Option("--dtype <name>", "what weights are kept in").choices(["float32", "bfloat16"]),
    )
    .option("--revision <name>", "of a model on the hub: a branch, a tag or a commit")
    .option("--offline", "use what is in the hub's cache, and no network")
    .addHelpText(
      "after",
      examples(
        'user-llm generate --llm HuggingFaceTB/SmolLM2-135M --prompt "Once upon a time"',
        'user-llm generate --llm models/mine --prompt "A haiku" --temperature 0.8 --top-p 0.95 --seed 1',
        "user-llm generate --llm models/chat --chat --system 'Be brief.' --prompt - < question.txt",
      ),
    )
    .action(cli.action((context, flags) => answer(context, flags as GenerateFlags)));
}

interface GenerateFlags {
  llm: string;
  adapter?: string;
  prompt: string;
  chat?: boolean;
  system?: string;
  maxNewTokens: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repetitionPenalty?: number;
  beams?: number;
  stop?: readonly string[];
  seed?: number;
  dtype?: "float32" | "bfloat16";
  revision?: string;
  offline?: boolean;
}

async function answer(context: Context, flags: GenerateFlags): Promise<Result> {
  const { signal, onProgress } = context;
  const { llm, adapter, dtype, revision, offline } = flags;
  const prompt = await promptOf(flags, signal);
  const { LanguageModel } = await import("../generate/index.js");
  const hub = { revision, offline, env: context.env };
  using model = await LanguageModel.load(llm, { ...hub, adapter, dtype, signal, onProgress });
  const began = performance.now();
  const generation = await answerWith(model, prompt, context, flags);
  const seconds = (performance.now() - began) / 1000;
  if (generation === undefined) return { document: {} };
  const { ids, reason, promptTokens, ...rest } = generation;
  const tokens = ids.length;
  const tokensPerSecond = tokens / seconds;
  context.note(
    `${tokens} tokens after ${promptTokens} in ${seconds.toFixed(2)} s, ${tokensPerSecond.toPrecision(3)} tokens/s`,
  );
  const counts = { promptTokens, tokens, seconds, tokensPerSecond };
  return { document: { ...rest, ids: [...ids], reason, ...counts } };
}

async function promptOf(
  { prompt, chat = false, system }: GenerateFlags,
  signal: AbortSignal,
): Promise<Prompt> {
  if (system !== undefined && !chat) throw new UsageError("--system needs --chat");
  const text = prompt === "-" ? await standardInput(signal) : prompt;
  if (!chat) return text;
  const message = { role: "user", content: text };
  return system === undefined ? [message] : [{ role: "system", content: system }, message];
}

/** Without the end of the last line, which is of the file and not of the prompt. */
async function standardInput(signal: AbortSignal): Promise<string> {
  return (await textOf(addAbortSignal(signal, process.stdin))).replace(/\r?\n$/, "");
}

/** Shows the answer as it comes, if it is not to be JSON. Undefined when nobody reads it to its end. */
async function answerWith(
  model: LanguageModel,
  prompt: Prompt,
  { signal, json, write }: Context,
  flags: GenerateFlags,
): Promise<Generation | undefined> {
  const { generate, generateStream } = await import("../generate/index.js");
  const options = { ...optionsOf(flags), signal };
  if ((options.beams ?? 1) > 1) {
    const [generation] = await generate(model, prompt, options);
    if (!json) await write(`${generation!.text}\n`);
    return generation!;
  }
  let generation: Generation | undefined;
  const pieces = async function* (): AsyncGenerator<GenerationChunk> {
    generation = yield* generateStream(model, prompt, options);
  };
  let last = "";
  try {
    for await (const { text } of pieces()) {
      if (text !== "") last = text;
      if (!json && !(await write(text))) break;
    }
    return generation;
  } finally {
    if (!json && last !== "" && !last.endsWith("\n")) await write("\n");
  }
}

function optionsOf(flags: GenerateFlags): GenerateOptions {
  const { maxNewTokens, temperature, topK, topP, minP, repetitionPenalty } = flags;
  const { beams, stop, seed } = flags;
  return { maxNewTokens, temperature, topK, topP, minP, repetitionPenalty, beams, stop, seed };
}

function wholeNumber(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a whole number.");
}

function anyNumber(text: string): number {
  if (text.trim() !== "" && Number.isFinite(Number(text))) return Number(text);
  throw new InvalidArgumentError("Expected a number.");
}
