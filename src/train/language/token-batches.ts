import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { type LoaderState, permutation } from "../../data/index.js";
import { UsageError } from "../../errors.js";
import type { TokenBatch } from "../../models/index.js";
import type { TrainingBatches } from "../fit.js";
import { packFirstFitDecreasing } from "./pack.js";
import type { TokenSequences } from "./token-sequences.js";

/** Sequences that are packed together: enough for full batches, and for batches that differ from epoch to epoch. */
const poolSize = 1024;

export interface TokenBatchesOptions {
  /** Most inputs of a batch. */
  tokens: number;
  /** Whether every epoch has an order of its own. Default: true. */
  shuffle?: boolean | undefined;
  /** Of the orders. Default: 0. */
  seed?: number | undefined;
}

/** Options with all defaults filled in. */
type Settings = {
  readonly [Name in keyof TokenBatchesOptions]-?: NonNullable<TokenBatchesOptions[Name]>;
};

/** One pool of sequences, packed. */
interface Pool {
  readonly epoch: number;
  /** Of the epoch, from 0. */
  readonly number: number;
  /** The sequences of each batch. */
  readonly batches: readonly (readonly number[])[];
}

/**
 * Batches of sequences without end, each nearly as large as it may be: every epoch shuffles the sequences, takes pools of
 * them and packs these. A sequence comes once an epoch. Equal options give equal batches.
 *
 * The object is a cursor: a loop goes on where the one before stopped.
 */
export class TokenBatches implements TrainingBatches<TokenBatch> {
  #epoch = 0;
  /** Sequences of the epoch that were handed out. */
  #position = 0;
  #pool: Pool | undefined;

  private constructor(
    readonly sequences: TokenSequences,
    private readonly options: Settings,
    /** Batches of the first epoch; others may have a few more or less, for what lands in a pool differs. */
    readonly batches: number,
    private readonly fingerprint: string,
  ) {}

  /**
   * @throws UsageError when there are no sequences, or one has more inputs than a batch may have
   */
  static async open(
    sequences: TokenSequences,
    { tokens, shuffle = true, seed = 0 }: TokenBatchesOptions,
  ): Promise<TokenBatches> {
    const options = { tokens, shuffle, seed };
    if (!(Number.isSafeInteger(tokens) && tokens >= 1))
      throw new UsageError(`TokenBatches: tokens must be a whole number from 1, got ${tokens}`);
    if (!(Number.isSafeInteger(seed) && seed >= 0))
      throw new UsageError(`TokenBatches: seed must be a whole number from 0, got ${seed}`);
    if (sequences.count === 0) throw new UsageError("TokenBatches: there are no sequences");
    for (let i = 0; i < sequences.count; i++)
      if (sequences.inputs(i) > tokens)
        throw new UsageError(
          `TokenBatches: sequence ${i} has ${sequences.inputs(i)} inputs, a batch at most ${tokens}`,
        );
    let batches = 0;
    for (let number = 0; number * poolSize < sequences.count; number++) {
      batches += packPool(sequences, options, { epoch: 0, number }).batches.length;
      await setImmediate(); // packing a pool takes a millisecond
    }
    const content = await sequences.fingerprint();
    const hash = createHash("sha256").update(JSON.stringify({ content, ...options }));
    return new TokenBatches(sequences, options, batches, hash.digest("hex"));
  }

  state(): LoaderState {
    return { epoch: this.#epoch, position: this.#position, fingerprint: this.fingerprint };
  }

  /** @throws UsageError when the cursor is of other sequences or options, or no place between two batches */
  load({ epoch, position, fingerprint }: LoaderState): void {
    if (fingerprint !== this.fingerprint)
      throw new UsageError(
        "TokenBatches.load: the state is of other sequences, or of another size, seed or shuffle",
      );
    const before = { epoch: this.#epoch, position: this.#position };
    [this.#epoch, this.#position] = [epoch, position];
    if (position === this.sequences.count || this.#upcoming() !== undefined) return;
    [this.#epoch, this.#position] = [before.epoch, before.position];
    throw new UsageError(`TokenBatches.load: no batch of epoch ${epoch} begins at ${position}`);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TokenBatch, void, undefined> {
    for (;;) {
      if (this.#position === this.sequences.count)
        [this.#epoch, this.#position] = [this.#epoch + 1, 0];
      const indices = this.#upcoming()!;
      this.#position += indices.length;
      yield this.sequences.batch(indices);
    }
  }

  /** The sequences of the batch at the cursor; undefined where none begins. */
  #upcoming(): readonly number[] | undefined {
    const [epoch, number] = [this.#epoch, Math.floor(this.#position / poolSize)];
    if (this.#pool?.epoch !== epoch || this.#pool.number !== number)
      this.#pool = packPool(this.sequences, this.options, { epoch, number });
    let before = number * poolSize;
    return this.#pool.batches.find((batch) => {
      const begins = before === this.#position;
      before += batch.length;
      return begins;
    });
  }
}

function packPool(
  sequences: TokenSequences,
  { tokens, shuffle, seed }: Settings,
  { epoch, number }: Omit<Pool, "batches">,
): Pool {
  const shuffled = permutation(sequences.count, seed, epoch);
  const first = number * poolSize;
  const length = Math.max(0, Math.min(poolSize, sequences.count - first));
  const members = Array.from({ length }, (_, i) => (shuffle ? shuffled(first + i) : first + i));
  const bins = packFirstFitDecreasing(
    members.map((index) => sequences.inputs(index)),
    tokens,
  );
  // Bins come with the longest sequences first; where their first one was shuffled to is random.
  if (shuffle) bins.sort(([a], [b]) => a! - b!);
  return { epoch, number, batches: bins.map((bin) => bin.map((i) => members[i]!)) };
}
