import { ShapeError, UsageError } from "../errors.js";
import { attention, type Rotary, reshape, selfAttention } from "../ops/index.js";
import { isRecorded } from "../ops/tape.js";
import { formatShape, type Tensor } from "../tensor/tensor.js";
import { type Cache, offsetsOf } from "./cache.js";
import { Dropout } from "./dropout.js";
import { Linear, type LinearLayerOptions } from "./linear.js";
import { Module } from "./module.js";
import type { RotaryEmbedding } from "./rotary.js";

/** How a layer attends, whatever it attends to. */
export interface AttentionLayerOptions extends LinearLayerOptions {
  heads: number;
  /** Heads of keys and values, each shared by `heads / kvHeads` query heads. Default: `heads`. */
  kvHeads?: number | undefined;
  /** Default: the width divided by `heads`, which must divide it then. */
  headWidth?: number | undefined;
  /** Multiplies the scores. Default: 1/√headWidth. */
  scale?: number | undefined;
  /** Limits the scores to ±softCap: `softCap · tanh(score / softCap)`. Default: no limit. */
  softCap?: number | undefined;
  /** On the attention probabilities and after the output projection. Default: 0. */
  dropout?: number;
}

export interface MultiHeadAttentionOptions extends AttentionLayerOptions {
  /** Whether a position sees only itself and earlier ones. Default: false. */
  causal?: boolean | undefined;
  /** How many positions one sees, itself included, looking back (and, unless causal, ahead). Default: all. */
  window?: number | undefined;
  /** Turns queries and keys by their positions; layers may share it. Default: none. */
  rotary?: RotaryEmbedding | undefined;
}

/** Which positions of a batch are real. */
export interface SequenceOptions {
  /** Positions in use of each sequence of a padded batch: `[batch]`, int32. Padding gives zeros to the projection. */
  lengths?: Tensor | undefined;
  /** Where each sequence begins in `x [tokens, width]`, and the end: `[batch + 1]`, int32, on the device. */
  offsets?: Tensor | undefined;
}

/** Earlier tokens, which the new ones see and join. */
export interface CachedTokens {
  readonly cache: Cache;
  /** Which layer of the cache this one is. */
  readonly layer: number;
  /** New tokens of each sequence, which then follow each other in `x [tokens, width]`. Default: all of a dense `x`. */
  readonly counts?: readonly number[] | undefined;
}

export interface MultiHeadAttentionInputs extends SequenceOptions {
  /** Default: `x` is all there is. */
  cached?: CachedTokens | undefined;
  /** Added to the result: the shape of `x`. */
  residual?: Tensor | undefined;
}

/**
 * Multi-head self-attention.
 *
 *     softmax(scale · query · keyᵀ) · value        per head
 *
 * @see Vaswani et al., "Attention is all you need", arXiv:1706.03762
 */
export class MultiHeadAttention extends Module {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  /** Query heads, key heads, value heads: `[(heads + 2 kvHeads) · headWidth, width]`. */
  readonly qkv: Linear;
  readonly output: Linear;
  readonly dropout: Dropout;
  readonly rotary: RotaryEmbedding | undefined;
  readonly #options: Pick<MultiHeadAttentionOptions, "causal" | "window" | "scale" | "softCap">;

  constructor(
    readonly width: number,
    options: MultiHeadAttentionOptions,
  ) {
    super();
    const { dropout = 0, causal, window, scale, softCap, rotary } = options;
    const { heads, kvHeads, headWidth } = headsOf("MultiHeadAttention", width, options);
    this.heads = heads;
    this.kvHeads = kvHeads;
    this.headWidth = headWidth;
    this.qkv = new Linear(width, (heads + 2 * kvHeads) * headWidth, options);
    this.output = new Linear(heads * headWidth, width, options);
    this.dropout = new Dropout(dropout, options.generator);
    this.rotary = rotary;
    this.#options = { causal, window, scale, softCap };
  }

  /**
   * @param x `[batch, length, width]`, or `[tokens, width]` with `offsets` or `cached.counts`
   * @returns the shape of `x`
   * @throws ShapeError, UsageError
   */
  forward(x: Tensor, { residual, cached, ...sequence }: MultiHeadAttentionInputs = {}): Tensor {
    const ragged = cached ? cached.counts !== undefined : sequence.offsets !== undefined;
    if (x.rank !== (ragged ? 2 : 3) || x.shape.at(-1) !== this.width)
      throw new ShapeError(
        `MultiHeadAttention: x must be ${ragged ? "[tokens" : "[batch, length"}, ${this.width}], got ${formatShape(x.shape)}`,
      );
    const lead = x.shape.slice(0, -1);
    const heads = this.heads + 2 * this.kvHeads;
    const packed = reshape(this.qkv.forward(x), [...lead, heads, this.headWidth]);
    const attended = cached
      ? this.#attendCached(packed, cached, sequence)
      : selfAttention(packed, {
          ...this.#rules,
          ...sequence,
          heads: this.heads,
          rotary: this.#rotary(lead.at(-1)!),
        });
    return this.dropout.after(
      this.output,
      reshape(attended, [...lead, this.heads * this.headWidth]),
      residual,
    );
  }

  #attendCached(
    packed: Tensor,
    { cache, layer, counts }: CachedTokens,
    { lengths, offsets }: SequenceOptions,
  ): Tensor {
    if (lengths || offsets)
      throw new UsageError(
        "MultiHeadAttention: with a cache, cached.counts says which tokens are real",
      );
    if (isRecorded(packed))
      throw new UsageError(
        "MultiHeadAttention: a cache has no gradient; use it inside noGrad, or outside valueAndGrad",
      );
    const added = counts ?? new Array<number>(cache.batch).fill(packed.shape[1]!);
    const longest = cache
      .lengths(layer)
      .reduce((most, length, b) => Math.max(most, length + (added[b] ?? 0)), 0);
    const rotary = this.#rotary(longest);
    const store = cache.append(layer, { packed }, { counts, rotary });
    return attention(packed, store.keys, store.values, {
      ...this.#rules,
      heads: this.heads,
      keyLengths: store.lengths,
      queryOffsets: counts && offsetsOf(counts),
      rotary: rotary && { ...rotary, rotatesKeys: false },
    });
  }

  get #rules() {
    const { active, p, generator } = this.dropout;
    return { ...this.#options, dropout: active ? p : 0, generator };
  }

  #rotary(positions: number): Rotary | undefined {
    return this.rotary && { table: this.rotary.table(positions), style: this.rotary.style };
  }
}

/** The numbers of heads and their width, checked. */
export function headsOf(
  layer: string,
  width: number,
  { heads, kvHeads = heads, headWidth = width / heads }: AttentionLayerOptions,
): { heads: number; kvHeads: number; headWidth: number } {
  const isCount = (value: number) => Number.isInteger(value) && value > 0;
  if (!isCount(heads)) throw new UsageError(`${layer}: heads must be a whole number, got ${heads}`);
  if (!isCount(headWidth))
    throw new UsageError(`${layer}: heads ${heads} must divide width ${width}`);
  if (!isCount(kvHeads) || heads % kvHeads !== 0)
    throw new UsageError(`${layer}: kvHeads ${kvHeads} must divide heads ${heads}`);
  return { heads, kvHeads, headWidth };
}
