import type { Decoder } from "../models/index.js";
import type { Cache } from "../nn/index.js";
import { concat, embedding, noGrad, slice } from "../ops/index.js";
import type { LongCall } from "../progress.js";
import { synchronize, type Tensor, tensor, tidy } from "../tensor/index.js";

/** What a sequence begins with. */
export interface SequenceStart {
  readonly ids: Int32Array;
  /** Vectors that come before the tokens: `[rows, width]`. They take positions as tokens do. Default: none. */
  readonly prefix?: Tensor | undefined;
}

/** Which sequences the tokens of a step are of. */
export interface StepSequences {
  /** Tokens of each; 0 where a sequence has none in this step. */
  readonly counts: readonly number[];
  /** Which of the sequences that the loop began with each is; of beams several may be the same. */
  readonly sequences: readonly number[];
}

/** Layers between those of the decoder: what goes into `layer`, `x [tokens, width]`, → what goes in instead. */
export type BeforeLayer = (x: Tensor, layer: number, step: StepSequences) => Tensor;

export interface DecodeLoopOptions {
  /** Tokens of each sequence that the cache has room for at first. */
  capacity?: number | undefined;
  beforeLayer?: BeforeLayer | undefined;
  /** Tokens that are computed at once while the prompts are read. Default: 1,024. */
  chunk?: number | undefined;
}

/**
 * Sequences on their way through a decoder, token by token, with the cache of what they were so far. All that generation
 * does goes through here, whatever chooses the tokens.
 *
 *     using loop = new DecodeLoop(decoder, [{ ids }]);
 *     let logits = await loop.start();          // [sequences, vocabulary]
 *     logits = loop.step(Int32Array.of(17));
 *
 * Logits belong to the caller. No gradients.
 */
export class DecodeLoop implements Disposable {
  readonly #decoder: Decoder;
  readonly #starts: readonly SequenceStart[];
  readonly #cache: Cache;
  readonly #beforeLayer: BeforeLayer | undefined;
  readonly #chunk: number;
  #sequences: readonly number[];

  constructor(
    decoder: Decoder,
    starts: readonly SequenceStart[],
    { capacity, beforeLayer, chunk = 1024 }: DecodeLoopOptions = {},
  ) {
    this.#decoder = decoder;
    this.#starts = starts;
    this.#beforeLayer = beforeLayer;
    this.#chunk = chunk;
    this.#sequences = starts.map((_, i) => i);
    this.#cache = decoder.newCache({ batch: starts.length, capacity });
  }

  /**
   * Reads what the sequences begin with, in pieces that bound the memory it takes.
   *
   * @returns logits of each sequence's first token of its own, `[sequences, vocabulary]`
   */
  async start({ signal, onProgress }: LongCall = {}): Promise<Tensor> {
    const lengths = this.#starts.map(({ ids, prefix }) => (prefix?.shape[0] ?? 0) + ids.length);
    const total = lengths.reduce((sum, length) => sum + length, 0);
    const lasts: Tensor[] = [];
    try {
      let done = 0;
      for (const { from, counts } of piecesOf(lengths, this.#chunk)) {
        signal?.throwIfAborted();
        const ends = counts.map((count, i) => count > 0 && from[i]! + count === lengths[i]);
        const x = () => this.#startEmbeddings(from, counts);
        const last = tidy(() => noGrad(() => lastRows(this.#hidden(x(), counts), counts, ends)));
        if (last) lasts.push(last);
        done += counts.reduce((sum, count) => sum + count, 0);
        if (total <= this.#chunk) break;
        await synchronize();
        onProgress?.({ task: "reading prompts", done, total, unit: "tokens" });
      }
      return tidy(() =>
        noGrad(() => this.#decoder.logits(lasts.length === 1 ? lasts[0]! : concat(lasts))),
      );
    } finally {
      for (const last of lasts) last.dispose();
    }
  }

  /**
   * Goes on with a token for each sequence.
   *
   * @param ids `[sequences]`
   * @returns   logits of the next tokens, `[sequences, vocabulary]`
   */
  step(ids: Int32Array): Tensor {
    const counts = new Array<number>(ids.length).fill(1);
    const decoder = this.#decoder;
    return tidy(() =>
      noGrad(() => decoder.logits(this.#hidden(decoder.embed(tensor(ids)), counts))),
    );
  }

  /** Makes sequence i what sequence `indices[i]` was. */
  select(indices: readonly number[]): void {
    this.#cache.select(indices);
    this.#sequences = indices.map((index) => this.#sequences[index]!);
  }

  dispose(): void {
    this.#cache.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #hidden(x: Tensor, counts: readonly number[]): Tensor {
    const beforeLayer = this.#beforeLayer;
    const step = { counts, sequences: this.#sequences };
    return this.#decoder.hidden(x, {
      counts,
      cache: this.#cache,
      beforeLayer: beforeLayer && ((x, layer) => beforeLayer(x, layer, step)),
    });
  }

  /** `[tokens, width]` of the rows [from, from + count) of each start. Tokens in a row are looked up together. */
  #startEmbeddings(from: readonly number[], counts: readonly number[]): Tensor {
    const parts: Tensor[] = [];
    let ids: number[] = [];
    const lookUp = (): void => {
      if (ids.length > 0) parts.push(this.#decoder.embed(tensor(Int32Array.from(ids))));
      ids = [];
    };
    for (const [i, { ids: own, prefix }] of this.#starts.entries()) {
      const [begin, end] = [from[i]!, from[i]! + counts[i]!];
      const prefixed = prefix?.shape[0] ?? 0;
      if (prefix && begin < Math.min(end, prefixed)) {
        lookUp();
        parts.push(slice(prefix, 0, begin, Math.min(end, prefixed)));
      }
      for (let at = Math.max(begin, prefixed); at < end; at++) ids.push(own[at - prefixed]!);
    }
    lookUp();
    return parts.length === 1 ? parts[0]! : concat(parts);
  }
}

/** Divides sequences into pieces of at most `chunk` rows: the first one first, so that their ends come in order. */
function* piecesOf(
  lengths: readonly number[],
  chunk: number,
): Generator<{ from: readonly number[]; counts: readonly number[] }> {
  const from = new Array<number>(lengths.length).fill(0);
  let first = 0;
  while (first < lengths.length) {
    const counts = new Array<number>(lengths.length).fill(0);
    let room = chunk;
    for (let i = first; i < lengths.length && room > 0; i++) {
      counts[i] = Math.min(room, lengths[i]! - from[i]!);
      room -= counts[i]!;
    }
    yield { from: [...from], counts };
    for (const [i, count] of counts.entries()) from[i]! += count;
    while (first < lengths.length && from[first] === lengths[first]) first++;
  }
}

/** Rows of the last token of each sequence that ends here; undefined when none does. */
function lastRows(
  hidden: Tensor,
  counts: readonly number[],
  ends: readonly boolean[],
): Tensor | undefined {
  const rows: number[] = [];
  let end = 0;
  for (const [i, count] of counts.entries()) {
    end += count;
    if (ends[i]) rows.push(end - 1);
  }
  return rows.length === 0 ? undefined : embedding(hidden, tensor(Int32Array.from(rows)));
}
