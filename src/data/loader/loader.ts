import { createHash } from "node:crypto";
import { DataError, UsageError } from "../../errors.js";
import { type NativeFeature, native } from "../../native.js";
import { type Batch, type BlockFormat, readBlock, readHead } from "./batch.js";
import { featuresToLoad, type LoaderData } from "./loader-features.js";
import {
  type LoaderOptions,
  type LoaderSettings,
  requireWhole,
  settingsOf,
} from "./loader-options.js";

/** What a loader needs of windows; `Windows` has it. */
export interface LoaderWindows {
  /** Most inputs of a window. */
  readonly length: number;
  /** All windows. */
  readonly count: number;
  /** First target row of each user: `[users]`. */
  readonly first: Float64Array;
  /** Windows before each user, then all: `[users + 1]`. */
  readonly cumulative: Float64Array;
  /** Rows of events where each user begins, then their number: `[users + 1]`. */
  readonly starts: Float64Array;
  /** From one target to the next. Default: 1. */
  readonly stride?: number;
}

/** Where a loader stands. Plain data, for checkpoints. */
export interface LoaderState {
  /** From 0. */
  readonly epoch: number;
  /** Windows of this rank that were handed out in the epoch. */
  readonly position: number;
  /** Of data, windows, seed, order and world: what has to be equal for the cursor to mean the same. */
  readonly fingerprint: string;
}

/**
 * Batches of windows, gathered by a native thread while the last one is trained on.
 *
 *     for await (const batch of new Loader(data, windows, { batchSize: 64, shuffle: true })) {
 *       step(batch);
 *     }
 *
 * The loader is a cursor: a loop goes on where the one before stopped, even in the middle of an epoch. One loop at a
 * time: a new one makes the old fail.
 */
export class Loader implements AsyncIterable<Batch> {
  /** Batches of an epoch, on this rank. */
  readonly batches: number;
  readonly #data: LoaderData;
  readonly #windows: LoaderWindows;
  readonly #options: LoaderSettings;
  readonly #signal: AbortSignal | undefined;
  readonly #features: readonly NativeFeature[];
  /** Windows of an epoch, on this rank. */
  readonly #share: number;
  #epoch = 0;
  #position = 0;
  #fingerprint: string | undefined;
  #run: Run | undefined;

  /**
   * @throws UsageError when an option is not what it should be, names no feature, or leaves no batch
   */
  constructor(data: LoaderData, windows: LoaderWindows, options: LoaderOptions) {
    const { features, signal, ...rest } = options;
    this.#data = data;
    this.#windows = windows;
    this.#signal = signal;
    this.#options = settingsOf(rest);
    const { batchSize, rank, world, dropLast, epochs } = this.#options;
    this.#features = featuresToLoad(data, features);

    const share = dropLast
      ? Math.floor(windows.count / world)
      : Math.max(0, Math.ceil((windows.count - rank) / world));
    this.batches = dropLast ? Math.floor(share / batchSize) : Math.ceil(share / batchSize);
    this.#share = dropLast ? this.batches * batchSize : share;
    if (this.batches === 0 && (dropLast || epochs === Infinity))
      throw new UsageError(
        `Loader: ${windows.count} windows for ${world} ranks fill no batch of ${batchSize}`,
      );
  }

  /** The cursor. Counts what was handed out, whatever has been gathered beyond it. */
  state(): LoaderState {
    return {
      epoch: this.#epoch,
      position: this.#position,
      fingerprint: this.#fingerprintOf(),
    };
  }

  /**
   * Goes on from a cursor: the next loop hands out what an uninterrupted one would have. Another batch size or layout is
   * fine. A loop that is going on fails.
   *
   * @throws UsageError when the cursor is of other windows, another seed or order, or another number of ranks
   */
  load({ epoch, position, fingerprint }: LoaderState): void {
    if (fingerprint !== this.#fingerprintOf())
      throw new UsageError(
        "Loader.load: the state is of other data or windows, or of another seed, shuffle or world",
      );
    requireWhole("epoch", epoch, 0);
    requireWhole("position", position, 0);
    this.#run?.close();
    this.#run = undefined;
    this.#epoch = epoch;
    this.#position = position;
  }

  /** @throws DataError when a column holds what it should not; `UsageError` when another loop or `load()` took over */
  [Symbol.asyncIterator](): AsyncGenerator<Batch, void, undefined> {
    const run = new Run(this.#data.folder ?? "Loader", this.#signal);
    const batches = this.#iterate(run);
    abandoned.register(batches, run);
    return batches;
  }

  async *#iterate(run: Run): AsyncGenerator<Batch, void, undefined> {
    this.#signal?.throwIfAborted();
    this.#run?.close();
    this.#run = run;
    const { batchSize, layout, targets, epochs, ...schedule } = this.#options;
    const { first, cumulative, starts, length, stride = 1 } = this.#windows;
    const format: BlockFormat = { layout, length, targets, features: this.#features };
    try {
      run.open({
        ...{ first, cumulative, starts, length, stride },
        items: this.#data.column("item"),
        itemCount: this.#data.items,
        features: this.#features,
        ragged: layout === "ragged",
        targets,
        batchSize,
        ...schedule,
        share: this.#share,
        epoch: this.#epoch,
        position: this.#position,
        endEpoch: (Math.floor(this.#epoch / epochs) + 1) * epochs,
      });
      for (;;) {
        const block = await run.next();
        if (this.#run !== run) throw new UsageError("Loader: another loop or load() took over");
        if (block === undefined) return;
        const { slot, epoch, position } = readHead(block);
        const { batch, release } = readBlock(block, format);
        run.recycle(slot);
        this.#epoch = epoch;
        this.#position = position;
        try {
          yield batch;
        } finally {
          release();
        }
      }
    } finally {
      run.close();
      if (this.#run === run) this.#run = undefined;
    }
  }

  #fingerprintOf(): string {
    this.#fingerprint ??= fingerprint(this.#data, this.#windows, this.#options);
    return this.#fingerprint;
  }
}

/** Iterators that nobody holds any more, though their loop did not end. */
const abandoned = new FinalizationRegistry<Run>((run) => run.close());

/** A native loader's life: of one loop. */
class Run {
  #id: number | undefined;
  readonly #abort = (): void => this.close();

  /** @param source for messages */
  constructor(
    readonly source: string,
    readonly signal: AbortSignal | undefined,
  ) {}

  open(spec: Parameters<typeof native.loaderCreate>[0]): void {
    const id = native.loaderCreate(spec);
    if (typeof id === "string") throw new DataError(`${this.source}: ${id}`);
    this.#id = id;
    this.signal?.addEventListener("abort", this.#abort, { once: true });
  }

  /** The next block; undefined at the end, or once closed. */
  async next(): Promise<ArrayBuffer | undefined> {
    this.signal?.throwIfAborted();
    if (this.#id === undefined) return undefined;
    const block = await native.loaderNext(this.#id);
    this.signal?.throwIfAborted();
    if (typeof block === "string") throw new DataError(`${this.source}: ${block}`);
    return block;
  }

  recycle(slot: number): void {
    if (this.#id !== undefined) native.loaderRecycle(this.#id, slot);
  }

  close(): void {
    if (this.#id === undefined) return;
    native.loaderClose(this.#id);
    this.#id = undefined;
    this.signal?.removeEventListener("abort", this.#abort);
  }
}

/** Users whose numbers stand for all in a fingerprint: millions would take too long on the JavaScript thread. */
const fingerprintUsers = 4096;

function fingerprint(
  data: LoaderData,
  windows: LoaderWindows,
  { seed, shuffle, world }: LoaderSettings,
): string {
  const { length, count, stride = 1, first, cumulative, starts } = windows;
  const users = first.length;
  const numbers = [length, count, stride, users, seed, Number(shuffle), world];
  const sampled = Math.min(users, fingerprintUsers);
  for (let i = 0; i < sampled; i++) {
    const user = Math.floor((i * users) / sampled);
    numbers.push(first[user]!, cumulative[user + 1]!, starts[user + 1]!);
  }
  const hash = createHash("sha256").update(data.fingerprint ?? "");
  return hash.update(Float64Array.from(numbers)).digest("hex").slice(0, 32);
}
