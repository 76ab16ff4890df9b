import { UsageError } from "../../errors.js";
import {
  type AdaptableLinear,
  Dropout,
  type KeyValueStore,
  LayerNorm,
  Linear,
  Module,
  RMSNorm,
  type RotaryEmbedding,
  storedAttention,
} from "../../nn/index.js";
import { attention, type Rotary, reshape, selfAttention } from "../../ops/index.js";
import { isRecorded } from "../../ops/tape.js";
import type { Tensor } from "../../tensor/index.js";
import type { DecoderInit, DecoderOptions } from "./decoder-options.js";

/** Ragged sequences on their way through the layers. */
export interface Sequences {
  /** Tokens of each. */
  readonly counts: readonly number[];
  /** Where each begins, and the end: `[sequences + 1]`, int32. */
  readonly offsets: Tensor;
  /** Tokens of the longest, earlier ones included. */
  readonly longest: number;
  /** Earlier tokens, which the new ones see and join. */
  readonly cache?: KeyValueStore | undefined;
}

/** Causal self-attention of a decoder's layer. */
export class DecoderAttention extends Module {
  /** Query heads, key heads, value heads in one: `[(heads + 2 kvHeads) · headWidth, width]`. */
  qkv: AdaptableLinear | undefined = undefined;
  query: AdaptableLinear | undefined = undefined;
  key: AdaptableLinear | undefined = undefined;
  value: AdaptableLinear | undefined = undefined;
  output: AdaptableLinear;
  readonly queryNorm: LayerNorm | RMSNorm | undefined;
  readonly keyNorm: LayerNorm | RMSNorm | undefined;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  readonly dropout: Dropout;
  readonly attentionDropout: Dropout;
  readonly rotary: RotaryEmbedding | undefined;
  readonly #rules: { causal: true; window?: number; scale?: number; softCap?: number };

  /**
   * @param layer  which of the decoder's layers it is in, from 0
   * @param rotary what turns queries and keys; layers share it
   */
  constructor(
    options: DecoderOptions,
    readonly layer: number,
    rotary: RotaryEmbedding | undefined,
    { generator, std = 0.02, dtype = "float32", precision }: DecoderInit,
  ) {
    super();
    const { width, heads, kvHeads = heads, headWidth = width / heads } = options;
    const { packed, inputBias, outputBias, scale, softCap, queryKeyNorm } = options.attention ?? {};
    const init = { std, dtype, precision, ...(generator && { generator }) };
    const project = (rows: number) =>
      new Linear(width, rows * headWidth, { ...init, bias: inputBias ?? false });
    if (packed) this.qkv = project(heads + 2 * kvHeads);
    else {
      this.query = project(heads);
      this.key = project(kvHeads);
      this.value = project(kvHeads);
    }
    this.output = new Linear(heads * headWidth, width, { ...init, bias: outputBias ?? false });
    this.queryNorm = queryKeyNorm ? makeNorm(headWidth, options, dtype) : undefined;
    this.keyNorm = queryKeyNorm ? makeNorm(headWidth, options, dtype) : undefined;
    this.heads = heads;
    this.kvHeads = kvHeads;
    this.headWidth = headWidth;
    this.dropout = new Dropout(options.dropout?.residual ?? 0, generator);
    this.attentionDropout = new Dropout(options.dropout?.attention ?? 0, generator);
    this.rotary = rotary;
    const window = options.windows?.[layer];
    this.#rules = {
      causal: true,
      ...(window !== undefined && { window }),
      ...(scale !== undefined && { scale }),
      ...(softCap !== undefined && { softCap }),
    };
  }

  /** `x [tokens, width]` → the same shape; `residual`, of that shape, is added. */
  forward(x: Tensor, sequences: Sequences, residual?: Tensor): Tensor {
    const attended = this.#attend(x, sequences);
    const flat = reshape(attended, [x.shape[0]!, this.heads * this.headWidth]);
    return this.dropout.after(this.output, flat, residual);
  }

  #attend(x: Tensor, { counts, offsets, longest, cache }: Sequences): Tensor {
    const { heads, kvHeads, headWidth, layer, rotary: embedding } = this;
    const rotary: Rotary | undefined = embedding && {
      table: embedding.table(longest),
      style: embedding.style,
    };
    const split = (linear: AdaptableLinear, count: number): Tensor =>
      reshape(linear.forward(x), [x.shape[0]!, count, headWidth]);
    const packed = this.qkv && split(this.qkv, heads + 2 * kvHeads);
    const rules = { ...this.#rules, ...this.#dropped };
    if (packed && !cache) return selfAttention(packed, { ...rules, heads, offsets, rotary });

    const normed = (
      norm: (Module & { forward(x: Tensor): Tensor }) | undefined,
      x: Tensor,
    ): Tensor => (norm ? norm.forward(x) : x);
    const query = packed ?? normed(this.queryNorm, split(this.query!, heads));
    const added = packed
      ? { packed }
      : {
          key: normed(this.keyNorm, split(this.key!, kvHeads)),
          value: split(this.value!, kvHeads),
        };
    if (!cache) {
      const { key, value } = added as { key: Tensor; value: Tensor };
      const ragged = { queryOffsets: offsets, keyOffsets: offsets };
      return attention(query, key, value, { ...rules, ...ragged, rotary });
    }
    if (isRecorded(query))
      throw new UsageError(
        "Decoder: a cache has no gradient; use it inside noGrad, or outside valueAndGrad",
      );
    const stored = cache.append(layer, added, { counts, rotary });
    return storedAttention(query, stored, { ...rules, heads, queryOffsets: offsets, rotary });
  }

  get #dropped() {
    const { active, p, generator } = this.attentionDropout;
    return active ? { dropout: p, generator } : {};
  }
}

/** A norm of the decoder's kind: float32, or float64 in a decoder of float64. */
export function makeNorm(
  width: number,
  { norm: { kind, eps, unitOffset = false } }: DecoderOptions,
  dtype: DecoderInit["dtype"],
): LayerNorm | RMSNorm {
  const options = { eps, dtype: dtype === "float64" ? dtype : ("float32" as const) };
  return kind === "rms"
    ? new RMSNorm(width, { ...options, unitOffset })
    : new LayerNorm(width, options);
}
