import { UsageError } from "../errors.js";
import { cacheAppend, embedding, type NewKeys, noGrad, pad, reshape, zeros } from "../ops/index.js";
import { keep, tidy } from "../tensor/memory.js";
import { type Tensor, tensor } from "../tensor/tensor.js";
import type { CacheOptions, LayerAppendOptions } from "./cache.js";

/** What a layer's attention reads: the keys and values of the sequences under way, new tokens included. */
export interface SequenceKeys {
  /** `[batch, capacity, kvHeads, headWidth]`, or with `rows` `[storedRows, kvHeads, headWidth]`. */
  readonly keys: Tensor;
  /** As `keys`. */
  readonly values: Tensor;
  /** How many tokens each sequence has: int32 `[batch]`. */
  readonly lengths: Tensor;
  /** Key j of sequence b is row `rows[b, j]`; keys are not rotated then. int32 `[batch, keys]`. */
  readonly rows?: Tensor | undefined;
}

/** Where a decoder puts the keys and values of new tokens, and finds those of earlier ones. */
export interface KeyValueStore {
  /** Earlier tokens of each sequence. */
  lengths(): readonly number[];
  append(layer: number, tokens: NewKeys, options?: LayerAppendOptions): SequenceKeys;
}

export interface RowCacheOptions extends Omit<CacheOptions, "batch" | "maxLength"> {
  /** Bytes of keys and values at most. Default: no limit. */
  maxBytes?: number | undefined;
}

/**
 * Keys and values of tokens, a row each, of which sequences are lists: sequences that begin alike share what they begin
 * with, as the branches of a tree do.
 *
 *     cache.continue([Int32Array.of(0, 1, 2), Int32Array.of(0, 1, 7)], [1, 2]);
 *     decoder.hidden(x, { counts: [1, 2], cache });   // the three new tokens are rows cache.rows - 3, - 2 and - 1
 *
 * It owns its tensors, whatever scope it is used in: they live until `dispose()`. No gradient passes through it.
 */
export class RowCache implements KeyValueStore, Disposable {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  readonly dtype: NonNullable<CacheOptions["dtype"]>;
  /** Tokens that there may be at most. */
  readonly maxRows: number;
  #capacity: number;
  #rows = 0;
  /** `[1, capacity, kvHeads, headWidth]`: to `cacheAppend`, all rows are one sequence. */
  readonly #stores: ({ keys: Tensor; values: Tensor } | undefined)[];
  #batch: Batch | undefined;

  constructor({
    layers,
    kvHeads,
    headWidth,
    capacity = 64,
    maxBytes = Number.POSITIVE_INFINITY,
    dtype = "float32",
  }: RowCacheOptions) {
    for (const [name, value] of Object.entries({ layers, kvHeads, headWidth, capacity }))
      if (!(Number.isSafeInteger(value) && value >= 0))
        throw new UsageError(`RowCache: ${name} must be a whole number, got ${value}`);
    this.layers = layers;
    this.kvHeads = kvHeads;
    this.headWidth = headWidth;
    this.dtype = dtype;
    this.maxRows = Math.floor(maxBytes / Math.max(1, this.bytesPerRow));
    this.#capacity = Math.min(capacity, this.maxRows);
    this.#stores = new Array<undefined>(layers).fill(undefined);
  }

  /** Tokens that are stored; the next one gets this row. */
  get rows(): number {
    return this.#rows;
  }

  /** Bytes of keys and values that a token takes, in all layers. */
  get bytesPerRow(): number {
    const { layers, kvHeads, headWidth, dtype } = this;
    return 2 * layers * kvHeads * headWidth * (dtype === "float64" ? 8 : 4);
  }

  /**
   * Says which sequences the next tokens belong to. Every layer then gets those tokens once.
   *
   * @param paths  rows of each sequence's earlier tokens, in their order
   * @param counts new tokens of each, from 1
   * @returns      the row of the first new token; the others follow, sequence by sequence
   * @throws UsageError when counts do not fit, a row is not there, or there would be more than `maxRows`
   */
  continue(paths: readonly Int32Array[], counts: readonly number[]): number {
    if (
      counts.length !== paths.length ||
      counts.some((count) => !(Number.isInteger(count) && count > 0))
    )
      throw new UsageError(
        `RowCache.continue: counts [${counts.join(", ")}] must be ${paths.length} whole numbers from 1`,
      );
    for (const path of paths)
      for (const row of path)
        if (!(row >= 0 && row < this.#rows))
          throw new UsageError(`RowCache.continue: ${row} is not one of ${this.#rows} rows`);
    const first = this.#rows;
    const after = counts.reduce((a, b) => a + b, first);
    if (after > this.maxRows)
      throw new UsageError(
        `RowCache.continue: there would be ${after} rows, more than maxRows ${this.maxRows}`,
      );
    this.#batch?.dispose();
    this.#batch = new Batch(paths, counts, first);
    this.#rows = after;
    return first;
  }

  lengths(): readonly number[] {
    return this.#requireBatch().paths.map((path) => path.length);
  }

  append(layer: number, tokens: NewKeys, { counts }: LayerAppendOptions = {}): SequenceKeys {
    if (!(Number.isInteger(layer) && layer >= 0 && layer < this.layers))
      throw new UsageError(`RowCache: ${layer} is not one of ${this.layers} layers`);
    const batch = this.#requireBatch();
    if (
      counts?.length !== batch.counts.length ||
      counts.some((count, i) => count !== batch.counts[i])
    )
      throw new UsageError(
        `RowCache.append: counts [${counts?.join(", ")}] must be those of continue(), [${batch.counts.join(", ")}]`,
      );
    const { keys, values } = this.#reserve(layer);
    tidy(() => {
      const lengths = int32([batch.first]);
      cacheAppend({ keys, values, lengths }, tokens, { offsets: int32([0, batch.tokens]) });
    });
    const shape = [keys.shape[1]!, this.kvHeads, this.headWidth];
    return {
      keys: reshape(keys, shape),
      values: reshape(values, shape),
      lengths: batch.lengths,
      rows: batch.rows,
    };
  }

  /**
   * Keeps some rows only: row i becomes what row `rows[i]` was.
   *
   * @throws UsageError when a row is not there
   */
  select(rows: Int32Array): void {
    const wrong = rows.find((row) => !(row >= 0 && row < this.#rows));
    if (wrong !== undefined)
      throw new UsageError(`RowCache.select: ${wrong} is not one of ${this.#rows} rows`);
    this.#endBatch();
    const width = this.kvHeads * this.headWidth;
    for (let layer = 0; layer < this.layers; layer++) {
      const capacity = this.#capacity;
      this.#replace(layer, (store) => {
        const selected = (x: Tensor): Tensor => {
          const table = reshape(x, [x.shape[1]!, width]);
          const kept = pad(
            embedding(table, tensor(rows)),
            0,
            0,
            Math.max(0, capacity - rows.length),
          );
          return reshape(kept, [1, kept.shape[0]!, this.kvHeads, this.headWidth]);
        };
        return { keys: selected(store.keys), values: selected(store.values) };
      });
    }
    this.#rows = rows.length;
  }

  dispose(): void {
    this.#endBatch();
    for (const [layer, store] of this.#stores.entries()) {
      store?.keys.dispose();
      store?.values.dispose();
      this.#stores[layer] = undefined;
    }
    this.#rows = 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #endBatch(): void {
    this.#batch?.dispose();
    this.#batch = undefined;
  }

  #requireBatch(): Batch {
    if (!this.#batch)
      throw new UsageError("RowCache: continue() must say which sequences the tokens belong to");
    return this.#batch;
  }

  /** The layer's tensors, with room for all rows. */
  #reserve(layer: number): { keys: Tensor; values: Tensor } {
    if (this.#capacity < this.#rows)
      this.#capacity = Math.min(this.maxRows, Math.max(2 * this.#capacity, this.#rows));
    const capacity = this.#capacity;
    const store = this.#stores[layer];
    if (!store) {
      const shape = [1, capacity, this.kvHeads, this.headWidth];
      const make = () => zeros(shape, { dtype: this.dtype });
      this.#stores[layer] = keep(tidy(() => noGrad(() => ({ keys: make(), values: make() }))));
    } else if (store.keys.shape[1]! < this.#rows) {
      const grown = (x: Tensor) => pad(x, 1, 0, capacity - x.shape[1]!);
      this.#replace(layer, ({ keys, values }) => ({ keys: grown(keys), values: grown(values) }));
    }
    return this.#stores[layer]!;
  }

  #replace(
    layer: number,
    make: (store: { keys: Tensor; values: Tensor }) => { keys: Tensor; values: Tensor },
  ): void {
    const before = this.#stores[layer];
    if (!before) return;
    this.#stores[layer] = keep(tidy(() => noGrad(() => make(before))));
    before.keys.dispose();
    before.values.dispose();
  }
}

/** The sequences that get tokens in one pass through the layers. */
class Batch {
  readonly tokens: number;
  readonly lengths: Tensor;
  readonly rows: Tensor;

  constructor(
    readonly paths: readonly Int32Array[],
    readonly counts: readonly number[],
    readonly first: number,
  ) {
    const lengths = paths.map((path, i) => path.length + counts[i]!);
    const longest = Math.max(0, ...lengths);
    const rows = new Int32Array(paths.length * longest);
    let next = first;
    for (const [i, path] of paths.entries()) {
      rows.set(path, i * longest);
      for (let k = path.length; k < lengths[i]!; k++) rows[i * longest + k] = next++;
    }
    this.tokens = next - first;
    this.lengths = keep(int32(lengths));
    this.rows = keep(tensor(rows, { shape: [paths.length, longest] }));
  }

  dispose(): void {
    this.lengths.dispose();
    this.rows.dispose();
  }
}

const int32 = (values: readonly number[]): Tensor => tensor(Int32Array.from(values));
