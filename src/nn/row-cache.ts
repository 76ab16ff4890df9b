import { UsageError } from "../errors.js";
import {
  cacheAppend,
  embedding,
  type NewKeys,
  noGrad,
  pad,
  reshape,
  slice,
  zeros,
} from "../ops/index.js";
import { keep, tidy } from "../tensor/memory.js";
import { type Tensor, tensor } from "../tensor/tensor.js";
import type { CacheOptions, LayerAppendOptions } from "./cache.js";
import { rotateAt, type SequenceKeys, type SharedKeys } from "./stored-attention.js";

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
   * @param groups neighbours that begin with the same rows, all sequences in their order: attention reads those rows once
   * for a group. Default: none
   * @returns      the row of the first new token; the others follow, sequence by sequence
   * @throws UsageError when counts do not fit, a row is not there, or there would be more than `maxRows`
   */
  continue(
    paths: readonly Int32Array[],
    counts: readonly number[],
    groups?: readonly RowGroup[],
  ): number {
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
    if (groups) requireGroups(groups, paths);
    const first = this.#rows;
    const after = counts.reduce((a, b) => a + b, first);
    if (after > this.maxRows)
      throw new UsageError(
        `RowCache.continue: there would be ${after} rows, more than maxRows ${this.maxRows}`,
      );
    this.#batch?.dispose();
    this.#batch = new Batch(paths, counts, first, groups);
    this.#rows = after;
    return first;
  }

  lengths(): readonly number[] {
    return this.#requireBatch().paths.map((path) => path.length);
  }

  append(
    layer: number,
    tokens: NewKeys,
    { counts, rotary }: LayerAppendOptions = {},
  ): SequenceKeys {
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
      const { key, value } = this.#separate(tokens);
      const turned = rotary ? rotateAt(key, batch.positions, rotary) : key;
      const offsets = int32([0, batch.tokens]);
      cacheAppend({ keys, values, lengths }, { key: turned, value }, { offsets });
    });
    const shape = [keys.shape[1]!, this.kvHeads, this.headWidth];
    return {
      keys: reshape(keys, shape),
      values: reshape(values, shape),
      lengths: batch.lengths,
      rows: batch.rows,
      shared: batch.shared,
    };
  }

  /** The key and value heads, where one projection has put them behind those of the queries. */
  #separate(tokens: NewKeys): { key: Tensor; value: Tensor } {
    if (!("packed" in tokens)) return tokens;
    const heads = tokens.packed.shape[1]!;
    const at = heads - 2 * this.kvHeads;
    return {
      key: slice(tokens.packed, 1, at, at + this.kvHeads),
      value: slice(tokens.packed, 1, at + this.kvHeads, heads),
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

/** Neighbouring sequences that begin alike. */
export interface RowGroup {
  /** How many they are, from 1. */
  readonly sequences: number;
  /** How many rows they have in common at least. */
  readonly rows: number;
}

function requireGroups(groups: readonly RowGroup[], paths: readonly Int32Array[]): void {
  let first = 0;
  for (const { sequences, rows } of groups) {
    const own = paths.slice(first, first + sequences);
    const alike = own.every((path) => {
      if (path.length < rows) return false;
      for (let i = 0; i < rows; i++) if (path[i] !== own[0]![i]) return false;
      return true;
    });
    if (!alike)
      throw new UsageError(
        `RowCache.continue: sequences ${first} to ${first + sequences - 1} must begin with the same ${rows} rows`,
      );
    first += sequences;
  }
  if (first !== paths.length)
    throw new UsageError(
      `RowCache.continue: groups must be of all ${paths.length} sequences, got ${first}`,
    );
}

/** The sequences that get tokens in one pass through the layers. */
class Batch {
  readonly tokens: number;
  readonly lengths: Tensor;
  readonly rows: Tensor;
  /** Where each new token stands in its sequence. */
  readonly positions: Tensor;
  readonly shared: SharedKeys | undefined;

  constructor(
    readonly paths: readonly Int32Array[],
    readonly counts: readonly number[],
    readonly first: number,
    groups: readonly RowGroup[] | undefined,
  ) {
    const positions: number[] = [];
    const whole = paths.map((path, i) => {
      const rows = new Int32Array(path.length + counts[i]!);
      rows.set(path);
      for (let k = path.length; k < rows.length; k++) rows[k] = first + positions.push(k) - 1;
      return rows;
    });
    this.tokens = positions.length;
    this.positions = keep(int32(positions));
    [this.rows, this.lengths] = table(whole);
    this.shared = groups?.some(({ sequences, rows }) => sequences > 1 && rows > 0)
      ? this.#share(whole, groups)
      : undefined;
  }

  #share(whole: readonly Int32Array[], groups: readonly RowGroup[]): SharedKeys {
    const offsets = [0];
    const beginnings: Int32Array[] = [];
    const tails: Int32Array[] = [];
    for (const group of groups) {
      // A sequence alone is all tail.
      const shared = group.sequences > 1 ? group.rows : 0;
      const own = whole.slice(tails.length, tails.length + group.sequences);
      const counts = this.counts.slice(tails.length, tails.length + group.sequences);
      beginnings.push((own[0] ?? new Int32Array()).subarray(0, shared));
      offsets.push(counts.reduce((a, b) => a + b, offsets.at(-1)!));
      tails.push(...own.map((rows) => rows.subarray(shared)));
    }
    const [rows, lengths] = table(beginnings);
    const [tailRows, tailLengths] = table(tails);
    const longest = Math.max(...whole.map(({ length }) => length));
    const { positions } = this;
    return {
      ...{ offsets: keep(int32(offsets)), rows, lengths, tailRows, tailLengths },
      ...{ positions, longest },
    };
  }

  dispose(): void {
    for (const tensor of [this.lengths, this.rows, this.positions]) tensor.dispose();
    const { offsets, rows, lengths, tailRows, tailLengths } = this.shared ?? {};
    for (const tensor of [offsets, rows, lengths, tailRows, tailLengths]) tensor?.dispose();
  }
}

/** Lists side by side, `[lists, longest]`, and their lengths. */
function table(lists: readonly Int32Array[]): [Tensor, Tensor] {
  const longest = Math.max(0, ...lists.map(({ length }) => length));
  const all = new Int32Array(lists.length * longest);
  for (const [i, list] of lists.entries()) all.set(list, i * longest);
  const lengths = int32(lists.map(({ length }) => length));
  return [keep(tensor(all, { shape: [lists.length, longest] })), keep(lengths)];
}

const int32 = (values: readonly number[]): Tensor => tensor(Int32Array.from(values));
