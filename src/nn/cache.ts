import { ShapeError, UsageError } from "../errors.js";
import {
  type CacheAppendOptions,
  type CachedKeys,
  cacheAppend,
  embedding,
  type NewKeys,
  noGrad,
  pad,
  reshape,
  zeros,
} from "../ops/index.js";
import type { DType } from "../tensor/dtype.js";
import { keep, tidy } from "../tensor/memory.js";
import { formatShape, requireLive, sizeOf, type Tensor, tensor } from "../tensor/tensor.js";

export interface CacheOptions {
  layers: number;
  /** Sequences. */
  batch: number;
  kvHeads: number;
  headWidth: number;
  /** Tokens that there is room for at first; it doubles when they do not suffice. Default: 64. */
  capacity?: number | undefined;
  /** Tokens of a sequence at most. Default: no limit. */
  maxLength?: number | undefined;
  /** Default: `float32`. */
  dtype?: Extract<DType, "float32" | "float64"> | undefined;
}

export interface LayerAppendOptions extends Pick<CacheAppendOptions, "rotary"> {
  /**
   * How many tokens each sequence gets. Dense tokens beyond it are padding; ragged tokens need it. Default: all dense
   * tokens.
   */
  counts?: readonly number[] | undefined;
}

/**
 * Keys and values of what the layers of a model have seen, so that the next tokens are computed alone: for generation,
 * and for encoders whose users get an event at a time.
 *
 *     const { keys, values, lengths } = cache.append(layer, { packed }, { rotary });
 *     attention(packed, keys, values, {
 *       heads, keyLengths: lengths, causal: true, rotary: { ...rotary, rotatesKeys: false },
 *     });
 *
 * It owns its tensors, whatever scope it is used in: they live until `dispose()`. No gradient passes through it.
 */
export class Cache implements Disposable {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  readonly maxLength: number;
  readonly dtype: Extract<DType, "float32" | "float64">;
  #batch: number;
  #capacity: number;
  readonly #stores: (CachedKeys | undefined)[];
  /** By layer and sequence; what the tensors of lengths hold. */
  readonly #lengths: number[][];

  constructor({
    layers,
    batch,
    kvHeads,
    headWidth,
    capacity = 64,
    maxLength = Number.POSITIVE_INFINITY,
    dtype = "float32",
  }: CacheOptions) {
    for (const [name, value] of Object.entries({ layers, batch, kvHeads, headWidth, capacity }))
      if (!(Number.isSafeInteger(value) && value >= 0))
        throw new UsageError(`Cache: ${name} must be a whole number, got ${value}`);
    if (
      !(Number.isSafeInteger(maxLength) || maxLength === Number.POSITIVE_INFINITY) ||
      maxLength < 0
    )
      throw new UsageError(`Cache: maxLength must be a whole number or Infinity, got ${maxLength}`);
    this.layers = layers;
    this.kvHeads = kvHeads;
    this.headWidth = headWidth;
    this.maxLength = maxLength;
    this.dtype = dtype;
    this.#batch = batch;
    this.#capacity = Math.min(capacity, maxLength);
    this.#stores = new Array<undefined>(layers).fill(undefined);
    this.#lengths = Array.from({ length: layers }, () => new Array<number>(batch).fill(0));
  }

  /** Number of sequences. */
  get batch(): number {
    return this.#batch;
  }

  /** Bytes of the keys and values that are allocated. */
  get bytes(): number {
    return this.#stores.reduce(
      (sum, store) =>
        sum + (store ? 2 * sizeOf(store.keys.shape) * (this.dtype === "float64" ? 8 : 4) : 0),
      0,
    );
  }

  /** Tokens of each sequence that a layer holds. */
  lengths(layer = 0): readonly number[] {
    this.#requireLayer(layer);
    return [...this.#lengths[layer]!];
  }

  /**
   * Adds the keys and values of new tokens to a layer.
   *
   * @param tokens dense `[batch, new, heads, headWidth]` or ragged `[tokens, heads, headWidth]`
   * @returns      the layer's tensors with the new tokens in place, for `attention`. They are the cache's own, and are
   *               replaced when the cache grows: use them before the next call
   * @throws UsageError when a sequence would be longer than `maxLength`, or `counts` does not fit; nothing has changed
   * @throws ShapeError
   */
  append(layer: number, tokens: NewKeys, { counts, rotary }: LayerAppendOptions = {}): CachedKeys {
    this.#requireLayer(layer);
    const key = "packed" in tokens ? tokens.packed : tokens.key;
    requireLive("Cache.append", "packed" in tokens ? "packed" : "key", key);
    const ragged = key.rank === 3;
    const added = this.#added(key, counts);
    const after = this.#lengths[layer]!.map((length, b) => length + added[b]!);
    const longest = Math.max(0, ...after);
    if (longest > this.maxLength)
      throw new UsageError(
        `Cache.append: sequence ${after.indexOf(longest)} would have ${longest} tokens, more than maxLength ${this.maxLength}`,
      );
    if (rotary && longest > rotary.table.shape[0]!)
      throw new ShapeError(
        `Cache.append: sequence ${after.indexOf(longest)} would have ${longest} tokens, but the rotary table ${formatShape(rotary.table.shape)} has ${rotary.table.shape[0]} positions`,
      );
    const store = this.#reserve(layer, longest);
    tidy(() => {
      cacheAppend(store, tokens, {
        counts: counts && !ragged ? int32(added) : undefined,
        offsets: ragged ? offsetsOf(added) : undefined,
        rotary,
      });
    });
    this.#lengths[layer] = after;
    return store;
  }

  /**
   * Makes sequence i what sequence `indices[i]` was, in all layers: the survivors of a beam search, a prompt that
   * several answers share, or a batch from which finished sequences leave.
   *
   * @throws UsageError when an index is no sequence
   */
  select(indices: readonly number[]): void {
    const wrong = indices.find((i) => !(Number.isInteger(i) && i >= 0 && i < this.#batch));
    if (wrong !== undefined)
      throw new UsageError(`Cache.select: ${wrong} is not one of ${this.#batch} sequences`);
    if (indices.length === this.#batch && indices.every((index, i) => index === i)) return;
    for (let layer = 0; layer < this.layers; layer++) {
      const lengths = indices.map((i) => this.#lengths[layer]![i]!);
      const store = this.#stores[layer];
      if (store)
        this.#replace(layer, () => ({
          keys: selectRows(store.keys, indices),
          values: selectRows(store.values, indices),
          lengths: int32(lengths),
        }));
      this.#lengths[layer] = lengths;
    }
    this.#batch = indices.length;
  }

  /**
   * Forgets the tokens from `length` on, in all layers.
   *
   * @param length for all sequences, or one for each
   * @throws UsageError when it is no length
   */
  truncate(length: number | readonly number[]): void {
    const limits = typeof length === "number" ? new Array(this.#batch).fill(length) : length;
    if (
      limits.length !== this.#batch ||
      !limits.every((limit) => Number.isInteger(limit) && limit >= 0)
    )
      throw new UsageError(
        `Cache.truncate: lengths must be ${this.#batch} whole numbers, got [${limits.join(", ")}]`,
      );
    for (let layer = 0; layer < this.layers; layer++) {
      const lengths = this.#lengths[layer]!.map((held, b) => Math.min(held, limits[b]!));
      const store = this.#stores[layer];
      if (store && lengths.some((left, b) => left < this.#lengths[layer]![b]!))
        this.#replace(layer, () => ({ ...store, lengths: int32(lengths) }));
      this.#lengths[layer] = lengths;
    }
  }

  /** Forgets everything and gives the memory back; the cache can be used again, also after a fault. */
  reset(): void {
    for (let layer = 0; layer < this.layers; layer++) {
      for (const held of Object.values(this.#stores[layer] ?? {})) (held as Tensor).dispose();
      this.#stores[layer] = undefined;
      this.#lengths[layer] = new Array<number>(this.#batch).fill(0);
    }
  }

  dispose(): void {
    this.reset();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #requireLayer(layer: number): void {
    if (!(Number.isInteger(layer) && layer >= 0 && layer < this.layers))
      throw new UsageError(`Cache: ${layer} is not one of ${this.layers} layers`);
  }

  /** How many tokens each sequence gets. */
  #added({ rank, shape }: Tensor, counts: readonly number[] | undefined): readonly number[] {
    const ragged = rank === 3;
    const slots = shape[ragged ? 0 : 1] ?? 0;
    if (!counts) {
      if (ragged) throw new UsageError("Cache.append: ragged tokens need counts");
      return new Array<number>(this.#batch).fill(slots);
    }
    const fit =
      counts.length === this.#batch &&
      counts.every((count) => Number.isInteger(count) && count >= 0 && count <= slots) &&
      (!ragged || counts.reduce((a, b) => a + b, 0) === slots);
    if (!fit)
      throw new UsageError(
        `Cache.append: counts [${counts.join(", ")}] must be ${this.#batch} whole numbers ${ragged ? `that add up to ${slots} tokens` : `of at most ${slots} tokens`}`,
      );
    return counts;
  }

  /** The layer's tensors, with room for `length` tokens. */
  #reserve(layer: number, length: number): CachedKeys {
    if (this.#capacity < length)
      this.#capacity = Math.min(this.maxLength, Math.max(2 * this.#capacity, length));
    const store = this.#stores[layer];
    const room = store?.keys.shape[1] ?? 0;
    if (store && length <= room) return store;
    const shape = [this.#batch, this.#capacity, this.kvHeads, this.headWidth];
    return this.#replace(layer, () => {
      if (store)
        return {
          keys: pad(store.keys, 1, 0, this.#capacity - room),
          values: pad(store.values, 1, 0, this.#capacity - room),
          lengths: store.lengths,
        };
      const { dtype } = this;
      return {
        keys: zeros(shape, { dtype }),
        values: zeros(shape, { dtype }),
        lengths: int32(this.#lengths[layer]!),
      };
    });
  }

  /** Puts other tensors in the place of the layer's and disposes those that are not among them. */
  #replace(layer: number, make: () => CachedKeys): CachedKeys {
    const before = this.#stores[layer];
    const store = tidy(() => noGrad(make));
    keep(store);
    for (const name of ["keys", "values", "lengths"] as const)
      if (before && before[name] !== store[name]) before[name].dispose();
    this.#stores[layer] = store;
    return store;
  }
}

/** Where each sequence begins when `counts` tokens follow each other, and the end: `[batch + 1]`, int32. */
export function offsetsOf(counts: readonly number[]): Tensor {
  const offsets = [0];
  for (const count of counts) offsets.push(offsets.at(-1)! + count);
  return int32(offsets);
}

const int32 = (values: readonly number[]): Tensor => tensor(Int32Array.from(values));

/** Rows of the leading dimension. */
function selectRows(x: Tensor, indices: readonly number[]): Tensor {
  const [rows, ...rest] = x.shape as [number, ...number[]];
  const table = reshape(x, [rows, sizeOf(rest)]);
  return reshape(embedding(table, int32(indices)), [indices.length, ...rest]);
}
