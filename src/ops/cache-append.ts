import { UsageError } from "../errors.js";
import { requireLive, type Tensor } from "../tensor/tensor.js";
import type { Rotary } from "./attention.js";
import { defineOp } from "./define-op.js";
import { rotaryStyles } from "./rotary.js";

const append = defineOp({
  name: "cache_append",
  inputs: ["keys", "values", "lengths", "key", "value?", "counts?", "offsets?", "rotary?"],
  attributes: ["packed", "heads", "rotary_style"],
  outputs: [],
  gradient: { none: "changes the cache in place" },
});

/** What attention has seen of a batch of sequences; changed in place by {@link cacheAppend}. */
export interface CachedKeys {
  /** `[batch, capacity, kvHeads, headWidth]`, float32 or float64; rotated, if the model rotates. */
  keys: Tensor;
  /** As `keys`. */
  values: Tensor;
  /** How many tokens of each sequence are there: int32 `[batch]`. */
  lengths: Tensor;
}

/** Keys and values of new tokens: dense `[batch, new, heads, headWidth]`, or ragged `[tokens, heads, headWidth]`. */
export type NewKeys =
  | {
      /** With `kvHeads` heads. */
      key: Tensor;
      value: Tensor;
    }
  | {
      /** With the query heads, which are not read, the key heads and the value heads, as one projection makes them. */
      packed: Tensor;
    };

export interface CacheAppendOptions {
  /** How many tokens of a dense sequence are new, the others being padding: int32 `[batch]`. Default: all. */
  counts?: Tensor | undefined;
  /** Of ragged tokens: int32 `[batch + 1]`. */
  offsets?: Tensor | undefined;
  /** Turns keys by their positions as they are written; attention is then told `rotatesKeys: false`. */
  rotary?: Omit<Rotary, "rotatesKeys"> | undefined;
}

/**
 * Writes the keys and values of new tokens behind those of a cache, in place, and adds to its lengths.
 *
 *     keys[b, lengths[b] + i] = key[b, i], rotated to position lengths[b] + i
 *
 * `attention(query, keys, values, { keyLengths: lengths, causal: true })` then lets the new tokens see all before.
 *
 * A sequence for which there is no room stays as it was; that, lengths, counts and offsets that do not fit, and a
 * position beyond the rotary table are faults, which the cache's tensors then report when they are read. No gradient.
 *
 * @throws ShapeError, DTypeError
 * @throws UsageError when tensors share memory with the cache
 */
export function cacheAppend(
  { keys, values, lengths }: CachedKeys,
  tokens: NewKeys,
  { counts, offsets, rotary }: CacheAppendOptions = {},
): void {
  const packed = "packed" in tokens;
  const key = packed ? tokens.packed : tokens.key;
  requireLive("cacheAppend", "keys", keys);
  requireLive("cacheAppend", packed ? "packed" : "key", key);
  if (rotary && !(rotaryStyles.indexOf(rotary.style) > 0))
    throw new UsageError(
      `cacheAppend: rotary.style must be "interleaved" or "half", got "${rotary.style}"`,
    );
  append(
    {
      keys,
      values,
      lengths,
      key,
      value: packed ? undefined : tokens.value,
      counts,
      offsets,
      rotary: rotary?.table,
    },
    {
      packed: Number(packed),
      heads: packed ? Math.max(0, (key.shape.at(-2) ?? 0) - 2 * (keys.shape.at(-2) ?? 0)) : 0,
      rotary_style: rotary ? rotaryStyles.indexOf(rotary.style) : 0,
    },
  );
}
