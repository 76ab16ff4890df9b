import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { UsageError } from "../../errors.js";
import { ignoredTarget, type TokenBatch } from "../../models/index.js";

/** Hashed at once. */
const hashedTokens = 1 << 21;

/** Where sequences lie in their tokens; one element each. */
export interface SequenceSpans {
  /** Index of the first token. */
  readonly starts: Float64Array;
  /** Index behind the last token. */
  readonly ends: Float64Array;
  /** Tokens at the beginning that are read but not to be foretold, at least 1. */
  readonly contexts: Int32Array;
}

/**
 * Sequences of tokens to train on: in each, every token but the last is an input, and the token after it is its target.
 * Targets within the context, such as a prompt, do not count.
 */
export class TokenSequences {
  /**
   * @param tokens of all sequences, which may share some: `[tokens]`
   * @throws UsageError when a sequence has nothing to foretell
   */
  constructor(
    readonly tokens: Int32Array,
    readonly spans: SequenceSpans,
  ) {
    const { starts, ends, contexts } = spans;
    for (let i = 0; i < starts.length; i++)
      if (!(contexts[i]! >= 1 && contexts[i]! < ends[i]! - starts[i]!))
        throw new UsageError(
          `TokenSequences: sequence ${i} must have more tokens than its context of ${contexts[i]}, ` +
            `and a context of at least 1, got ${ends[i]! - starts[i]!} tokens`,
        );
  }

  /** How many sequences there are. */
  get count(): number {
    return this.spans.starts.length;
  }

  /** Inputs of a sequence. */
  inputs(index: number): number {
    return this.spans.ends[index]! - this.spans.starts[index]! - 1;
  }

  /** Targets of a sequence that count. */
  counted(index: number): number {
    return this.inputs(index) + 1 - this.spans.contexts[index]!;
  }

  /** These sequences, in this order. */
  batch(indices: readonly number[]): TokenBatch {
    const counts = indices.map((index) => this.inputs(index));
    const size = counts.reduce((sum, count) => sum + count, 0);
    const [ids, targets] = [new Int32Array(size), new Int32Array(size)];
    let at = 0;
    for (const index of indices) {
      const [start, end] = [this.spans.starts[index]!, this.spans.ends[index]!];
      ids.set(this.tokens.subarray(start, end - 1), at);
      targets.set(this.tokens.subarray(start + 1, end), at);
      targets.fill(ignoredTarget, at, at + this.spans.contexts[index]! - 1);
      at += end - start - 1;
    }
    return { size: indices.length, ids, counts, targets };
  }

  /** SHA-256 of all of it, in hexadecimal. */
  async fingerprint(): Promise<string> {
    const { starts, ends, contexts } = this.spans;
    const hash = createHash("sha256").update(`${this.count} ${this.tokens.length} `);
    for (const array of [starts, ends, contexts, this.tokens])
      for (let at = 0; at < array.length; at += hashedTokens) {
        hash.update(array.subarray(at, at + hashedTokens));
        await setImmediate();
      }
    return hash.digest("hex");
  }
}
