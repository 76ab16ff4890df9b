import { UsageError } from "../errors.js";
import { Generator } from "../ops/index.js";
import { answerBatch } from "./answer-batch.js";
import { beamSearch } from "./beam-search.js";
import { Continuation } from "./continuation.js";
import type { Generation, GenerationChunk } from "./generation.js";
import type { AnsweringModel } from "./language-model.js";
import { type GenerateOptions, type GenerateSettings, settle } from "./options.js";
import { encodePrompt, type Prompt, promptsOf } from "./prompt.js";

/**
 * Answers prompts, several at a time: greedily unless options say otherwise.
 *
 *     const [{ text }] = await generate(model, "Once upon a time", { maxNewTokens: 40 });
 *
 * @param prompts one or several: texts, `Int32Array`s of ids, or conversations for the model's chat template
 * @returns       an answer for each prompt, in their order; of beam search `numReturn` for each, one after the other
 * @throws UsageError when an option is out of its range, or a prompt is empty or too long for the model
 */
export async function generate(
  model: AnsweringModel,
  prompts: Prompt | readonly Prompt[],
  options: GenerateOptions = {},
): Promise<Generation[]> {
  const { signal, onProgress } = options;
  const { settings, continuations } = begin(model, promptsOf(prompts), options);
  if (settings.beams > 1) return await searchAll(model, continuations, settings, options);
  const root = new Generator(settings.seed);
  const results: Generation[] = [];
  let done = 0;
  for (let at = 0; at < continuations.length; at += settings.batchSize) {
    const batch = continuations.slice(at, at + settings.batchSize);
    const generators = batch.map(() => root.fork());
    for await (const _ of answerBatch(model, batch, settings, { generators, signal, onProgress })) {
      done += 1;
      onProgress?.({ task: "generating", done, unit: "tokens" });
    }
    for (const continuation of batch) results.push(continuation.result());
  }
  return results;
}

/**
 * Answers a prompt, piece by piece as the answer comes. `break` stops it, and leaves nothing behind.
 *
 *     for await (const { text } of generateStream(model, "Once upon a time")) process.stdout.write(text);
 *
 * @returns the whole answer
 * @throws UsageError as {@link generate}, and for beam search, which has no text before its end
 */
export async function* generateStream(
  model: AnsweringModel,
  prompt: Prompt,
  options: GenerateOptions = {},
): AsyncGenerator<GenerationChunk, Generation> {
  const { signal, onProgress } = options;
  const { settings, continuations } = begin(model, [prompt], options);
  if (settings.beams > 1)
    throw new UsageError("generateStream: beam search has no text before its end; use generate");
  const [continuation] = continuations as [Continuation];
  const generators = [new Generator(settings.seed).fork()];
  let done = 0;
  const steps = answerBatch(model, continuations, settings, { generators, signal, onProgress });
  for await (const _ of steps) {
    done += 1;
    onProgress?.({ task: "generating", done, unit: "tokens" });
    const chunk = continuation.takeChunk();
    if (chunk) yield chunk;
  }
  return continuation.result();
}

async function searchAll(
  model: AnsweringModel,
  continuations: readonly Continuation[],
  settings: GenerateSettings,
  { signal, onProgress }: GenerateOptions,
): Promise<Generation[]> {
  const results: Generation[] = [];
  const together = Math.max(1, Math.floor(settings.batchSize / settings.beams));
  for (let at = 0; at < continuations.length; at += together) {
    const prompts = continuations.slice(at, at + together);
    const starts = prompts.map(({ prompt: ids, limit }) => ({ ids, limit }));
    results.push(...(await beamSearch(model, starts, settings, { signal, onProgress })).flat());
  }
  return results;
}

/** Checks everything before anything is computed. */
function begin(
  model: AnsweringModel,
  prompts: readonly Prompt[],
  options: GenerateOptions,
): { settings: GenerateSettings; continuations: readonly Continuation[] } {
  const { decoder, tokenizer, generation } = model;
  const { vocabulary, maxPositions } = decoder.options;
  options.signal?.throwIfAborted();
  if (decoder.training)
    throw new UsageError("generate: the decoder is in training mode; call decoder.eval() before");
  const settings = settle(options, generation, vocabulary);
  const continuations = prompts.map((prompt, index) => {
    const ids = encodePrompt(model, prompt, index);
    const limit = Math.min(settings.maxNewTokens, maxPositions - ids.length);
    return new Continuation(tokenizer, ids, limit, settings);
  });
  return { settings, continuations };
}
