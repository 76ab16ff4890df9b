/** What a decoder trains on: sequences one after the other, without padding. Nothing attends from one to another. */
export interface TokenBatch {
  /** Sequences. */
  readonly size: number;
  /** Inputs: `[tokens]`. */
  readonly ids: Int32Array;
  /** Inputs of each sequence. */
  readonly counts: readonly number[];
  /** The token after each input: `[tokens]`; -100 does not count. */
  readonly targets: Int32Array;
}
