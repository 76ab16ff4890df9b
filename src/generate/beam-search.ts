import { gather, logSoftmax, noGrad, topK } from "../ops/index.js";
import type { LongCall } from "../progress.js";
import { type Tensor, tensor, tidy } from "../tensor/index.js";
import { type Beam, Beams, type Candidate, keptCandidates, tokensOf } from "./beams.js";
import { Continuation } from "./continuation.js";
import type { BeforeLayer } from "./decode-loop.js";
import { DecodeLoop } from "./decode-loop.js";
import type { Generation } from "./generation.js";
import type { AnsweringModel } from "./language-model.js";
import type { GenerateSettings } from "./options.js";
import { readAll } from "./read-all.js";
import { RepetitionPenalty } from "./repetition-penalty.js";

export interface BeamSearchOptions extends LongCall {
  /** Vectors before each prompt. */
  prefixes?: readonly (Tensor | undefined)[] | undefined;
  beforeLayer?: BeforeLayer | undefined;
}

/** A prompt to be answered. */
export interface BeamPrompt {
  readonly ids: Int32Array;
  /** Tokens of an answer at most. */
  readonly limit: number;
}

/**
 * Answers prompts side by side, each by the most probable of `beams` answers that are followed. The answers are those of
 * transformers' beam search, token by token.
 *
 * @returns `numReturn` answers for each prompt, best first
 */
export async function beamSearch(
  { decoder, tokenizer }: AnsweringModel,
  prompts: readonly BeamPrompt[],
  settings: GenerateSettings,
  { prefixes, beforeLayer, signal, onProgress }: BeamSearchOptions = {},
): Promise<Generation[][]> {
  const { vocabulary } = decoder.options;
  const { repetitionPenalty, numReturn, endTokens, stop } = settings;
  const replay = ({ ids, limit }: BeamPrompt, beam: Beam): Continuation => {
    const continuation = new Continuation(tokenizer, ids, limit, settings);
    for (const { id, logProbability } of tokensOf(beam))
      continuation.accept({ id, logProbability });
    return continuation;
  };
  const searches = prompts.map((prompt) => {
    const isWhole = (beam: Beam): boolean =>
      endTokens.has(beam.id) || (stop.length > 0 && replay(prompt, beam).finished);
    return new Beams(settings, prompt.limit, isWhole);
  });
  const ids = prompts.map(({ ids }) => ids);
  using penalty =
    repetitionPenalty === 1 ? undefined : new RepetitionPenalty(repetitionPenalty, ids, vocabulary);
  using loop = new DecodeLoop(
    decoder,
    ids.map((ids, i) => ({ ids, prefix: prefixes?.[i] })),
    { beforeLayer },
  );
  let live = searches;
  let logits = await loop.start({ signal, onProgress });
  try {
    for (let done = 1; ; done++) {
      const choices = await choose(logits, settings, penalty);
      signal?.throwIfAborted();
      onProgress?.({ task: "generating", done, unit: "tokens" });
      const parents = advance(live, choices);
      live = live.filter((search) => !search.done);
      if (live.length === 0) break;
      loop.select(parents);
      const next = Int32Array.from(live.flatMap(({ running }) => running.map(({ id }) => id)));
      if (penalty) {
        penalty.select(parents);
        tidy(() => penalty.add(tensor(next)));
      }
      logits.dispose();
      logits = loop.step(next);
    }
  } finally {
    logits.dispose();
  }
  return searches.map(({ finished }, i) =>
    finished
      .slice(0, numReturn)
      .map(({ beam, score }) => ({ ...replay(prompts[i]!, beam).result(), score })),
  );
}

/** What may follow a sequence, most probable first. */
interface Choice {
  readonly id: number;
  /** What choices are compared by: with the penalty. */
  readonly value: number;
  readonly logProbability: number;
}

/** The choices of each row of `logits [rows, vocabulary]`. */
async function choose(
  logits: Tensor,
  settings: GenerateSettings,
  penalty: RepetitionPenalty | undefined,
): Promise<Choice[][]> {
  const [rows, vocabulary] = logits.shape as [number, number];
  const kept = Math.min(keptCandidates(settings), vocabulary);
  const made = tidy(() =>
    noGrad(() => {
      const all = logSoftmax(logits);
      const best = topK(penalty?.apply(all) ?? all, kept);
      return { ...best, ...(penalty && { own: gather(all, best.indices, 1) }) };
    }),
  );
  const { values, indices, own } = await readAll<"values" | "indices" | "own">(made);
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: kept }, (_, k) => {
      const at = row * kept + k;
      const value = values![at]!;
      return { id: indices![at]!, value, logProbability: own?.[at] ?? value };
    }),
  );
}

/** Takes a step in every search; returns the row that each beam left under way comes from. */
function advance(searches: readonly Beams[], choices: readonly (readonly Choice[])[]): number[] {
  const parents: number[] = [];
  let row = 0;
  for (const search of searches) {
    const before: readonly (Beam | undefined)[] =
      search.running.length === 0 ? [undefined] : search.running;
    const first = row;
    const candidates = before.flatMap((beam, parent): Candidate[] =>
      choices[row++]!.map(({ id, value, logProbability }) => ({
        ...{ id, logProbability, parent, before: beam },
        total: Math.fround((beam?.total ?? 0) + value),
      })),
    );
    search.advance(candidates);
    if (!search.done) for (const { parent } of search.running) parents.push(first + parent);
  }
  return parents;
}
