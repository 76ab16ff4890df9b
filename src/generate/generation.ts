/**
 * Why an answer ended: `stop` at one of the end tokens, `stop-string` at a text, `length` at `maxNewTokens` or the model's
 * last position.
 */
export type FinishReason = "stop" | "stop-string" | "length";

/** A token and how probable the model found it. */
export interface TokenLogProbability {
  readonly id: number;
  readonly logProbability: number;
}

/** An answer. */
export interface Generation {
  /** As it reads after the prompt, without end token and stop string. */
  readonly text: string;
  /** All tokens that were made, the end token and those of a stop string included. */
  readonly ids: Int32Array;
  readonly reason: FinishReason;
  readonly promptTokens: number;
  /** Of each token under the model's own distribution, whatever it was drawn from; if asked for. */
  readonly logProbabilities?: readonly number[] | undefined;
  /** At each token's place, the most probable ones in descending order; if asked for. */
  readonly topLogProbabilities?: readonly (readonly TokenLogProbability[])[] | undefined;
  /** Of beam search: what the answers of a prompt are ordered by. */
  readonly score?: number | undefined;
}

/** A piece of an answer: those of a stream one after the other are the answer. */
export interface GenerationChunk {
  /** Whole characters; empty at most in the last piece. */
  readonly text: string;
  /** Tokens since the piece before. Their text may be in later ones. */
  readonly ids: readonly number[];
  /** Of the tokens; if asked for. */
  readonly logProbabilities?: readonly number[] | undefined;
}
