import type { Generator } from "../ops/index.js";
import type { LongCall } from "../progress.js";
import type { Tensor } from "../tensor/index.js";
import type { Continuation } from "./continuation.js";
import { type BeforeLayer, DecodeLoop } from "./decode-loop.js";
import type { AnsweringModel } from "./language-model.js";
import type { GenerateSettings } from "./options.js";
import { TokenChooser } from "./token-chooser.js";

export interface AnswerBatchOptions extends LongCall {
  /** One for each sequence; disposed at the end. */
  generators: readonly Generator[];
  /** Vectors before each prompt. */
  prefixes?: readonly (Tensor | undefined)[] | undefined;
  beforeLayer?: BeforeLayer | undefined;
}

/** Cache that is taken at once for an answer, which may well be shorter than its limit. */
const roomForAnswer = 256;

/**
 * Answers several prompts side by side, each until it is finished; gives a turn to the caller after every step.
 *
 * Nothing is left behind wherever it stops: by an error, an aborted signal, or `return()`.
 */
export async function* answerBatch(
  { decoder }: AnsweringModel,
  continuations: readonly Continuation[],
  settings: GenerateSettings,
  { generators, prefixes, beforeLayer, signal, onProgress }: AnswerBatchOptions,
): AsyncGenerator<void, void> {
  const prompts = continuations.map(({ prompt }) => prompt);
  using chooser = new TokenChooser(settings, prompts, generators, decoder.options.vocabulary);
  using loop = new DecodeLoop(
    decoder,
    prompts.map((ids, i) => ({ ids, prefix: prefixes?.[i] })),
    { capacity: capacityFor(continuations), beforeLayer },
  );
  let live = continuations;
  let logits = await loop.start({ signal, onProgress });
  try {
    for (;;) {
      const chosen = await chooser.choose(logits);
      signal?.throwIfAborted();
      for (const [row, continuation] of live.entries()) continuation.accept(chosen[row]!);
      yield;
      signal?.throwIfAborted();
      const left = [...live.keys()].filter((row) => !live[row]!.finished);
      if (left.length === 0) return;
      if (left.length < live.length) {
        loop.select(left);
        chooser.select(left);
        live = left.map((row) => live[row]!);
      }
      logits.dispose();
      logits = loop.step(Int32Array.from(live, ({ last }) => last));
    }
  } finally {
    logits.dispose();
  }
}

function capacityFor(continuations: readonly Continuation[]): number {
  return continuations.reduce(
    (most, { prompt, limit }) => Math.max(most, prompt.length + Math.min(limit, roomForAnswer)),
    0,
  );
}
