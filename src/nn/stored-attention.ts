import {
  type AttentionRules,
  add,
  attention,
  attentionPart,
  concat,
  embedding,
  multiply,
  type Rotary,
  reshape,
  sigmoid,
  slice,
  subtract,
} from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";

/** What a layer's attention reads: the keys and values of the sequences under way, new tokens included. */
export interface SequenceKeys {
  /** `[batch, capacity, kvHeads, headWidth]`, or with `rows` `[storedRows, kvHeads, headWidth]`; rotated. */
  readonly keys: Tensor;
  /** As `keys`. */
  readonly values: Tensor;
  /** How many tokens each sequence has: int32 `[batch]`. */
  readonly lengths: Tensor;
  /** Key j of sequence b is row `rows[b, j]`: int32 `[batch, keys]`. */
  readonly rows?: Tensor | undefined;
  /** Where neighbours begin with the same rows. */
  readonly shared?: SharedKeys | undefined;
}

/** Sequences of a batch in groups, those of a group having their first rows in common. */
export interface SharedKeys {
  /** Where each group's new tokens begin, and the end: int32 `[groups + 1]`. */
  readonly offsets: Tensor;
  /** The common rows of each group: int32 `[groups, keys]`. */
  readonly rows: Tensor;
  /** How many they are: int32 `[groups]`. */
  readonly lengths: Tensor;
  /** The other rows of each sequence: int32 `[batch, keys]`. */
  readonly tailRows: Tensor;
  /** How many they are: int32 `[batch]`. */
  readonly tailLengths: Tensor;
  /** Where each new token stands in its sequence: int32 `[tokens]`. */
  readonly positions: Tensor;
  /** Tokens of the longest sequence. */
  readonly longest: number;
}

export interface StoredAttentionOptions extends Omit<AttentionRules, "rotary" | "causal"> {
  readonly heads: number;
  /** Of the new tokens' sequences: int32 `[batch + 1]`. */
  readonly queryOffsets: Tensor;
  readonly rotary?: Omit<Rotary, "rotatesKeys"> | undefined;
}

/**
 * Causal attention of new tokens over what a cache has of their sequences. What several sequences begin with is read once
 * for all of them: attention over it and over the rest are joined by the sums that they divided by.
 *
 *     softmax([a, b]) · [v, w] = σ(l - m) · softmax(a) · v + σ(m - l) · softmax(b) · w      l = log Σ exp a, m = log Σ exp b
 *
 * @param query `[tokens, heads, headWidth]`, or with heads of keys and values behind, which are not read
 * @returns     `[tokens, heads, headWidth]`
 */
export function storedAttention(
  query: Tensor,
  { keys, values, lengths, rows, shared }: SequenceKeys,
  { heads, queryOffsets, rotary, window, ...rules }: StoredAttentionOptions,
): Tensor {
  const all = { ...rules, heads, causal: true, window };
  // Where a window ends differs from token to token.
  const divided = shared && (window === undefined || window >= shared.longest) && !rules.dropout;
  if (!divided)
    return attention(query, keys, values, {
      ...{ ...all, queryOffsets, rows, keyLengths: lengths },
      rotary: rotary && { ...rotary, rotatesKeys: false },
    });
  const turned = rotary ? rotateAt(slice(query, 1, 0, heads), shared.positions, rotary) : query;
  const tail = attentionPart(turned, keys, values, {
    ...{ ...all, queryOffsets, rows: shared.tailRows, keyLengths: shared.tailLengths },
  });
  const beginning = attentionPart(turned, keys, values, {
    ...{ ...rules, heads, causal: false, queryOffsets: shared.offsets },
    ...{ rows: shared.rows, keyLengths: shared.lengths },
  });
  const more = subtract(tail.logSumExp, beginning.logSumExp);
  const weight = (x: Tensor): Tensor => reshape(sigmoid(x), [...x.shape, 1]);
  return add(
    multiply(tail.result, weight(more)),
    multiply(beginning.result, weight(multiply(more, -1))),
  );
}

/**
 * Turns heads by the positions of their tokens, as `attention` and `cacheAppend` do.
 *
 * @param x         `[tokens, heads, headWidth]`
 * @param positions int32 `[tokens]`
 */
export function rotateAt(
  x: Tensor,
  positions: Tensor,
  { table, style }: Omit<Rotary, "rotatesKeys">,
): Tensor {
  const [tokens, heads, width] = x.shape as [number, number, number];
  const pairs = table.shape[1]!;
  const angles = embedding(reshape(table, [table.shape[0]!, 2 * pairs]), positions);
  const parts = reshape(angles, [tokens, 1, pairs, 2]);
  // The elements of pairs, side by side for `interleaved`, half the width apart for `half`.
  const shape = style === "half" ? [tokens, heads, 2, pairs] : [tokens, heads, pairs, 2];
  const axis = style === "half" ? 2 : 3;
  const one = style === "half" ? [tokens, 1, 1, pairs] : [tokens, 1, pairs, 1];
  const [cosine, sine] = [0, 1].map((i) => reshape(slice(parts, 3, i, i + 1), one)) as [
    Tensor,
    Tensor,
  ];
  const pair = reshape(slice(x, 2, 0, 2 * pairs), shape);
  const [a, b] = [slice(pair, axis, 0, 1), slice(pair, axis, 1, 2)];
  const turned = concat(
    [subtract(multiply(a, cosine), multiply(b, sine)), add(multiply(b, cosine), multiply(a, sine))],
    axis,
  );
  const flat = reshape(turned, [tokens, heads, 2 * pairs]);
  return 2 * pairs === width ? flat : concat([flat, slice(x, 2, 2 * pairs, width)], 2);
}
