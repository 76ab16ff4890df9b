import { checkpoint as recompute } from "../../autograd/index.js";
import { ShapeError, UsageError } from "../../errors.js";
import {
  type AdaptableLinear,
  Cache,
  Dropout,
  Embedding,
  type KeyValueStore,
  type LayerNorm,
  Linear,
  Module,
  type RMSNorm,
  RotaryEmbedding,
  RowCache,
  type RowCacheOptions,
} from "../../nn/index.js";
import { add, cast, divide, linear, linearCrossEntropy, multiply, tanh } from "../../ops/index.js";
import { recordingTape } from "../../ops/tape.js";
import { type Tensor, tensor, tidy } from "../../tensor/index.js";
import type { EncoderLoss } from "../encoders/index.js";
import { makeNorm, type Sequences } from "./decoder-attention.js";
import { DecoderLayer } from "./decoder-layer.js";
import type { DecoderInit, DecoderOptions, DecoderRotary } from "./decoder-options.js";

/** Sequences of tokens to learn from, one after the other. */
export interface TokenBatch {
  /** Examples, which need not be as many as sequences. */
  readonly size: number;
  /** `[tokens]` */
  readonly ids: Int32Array;
  /** Tokens of each sequence. */
  readonly counts: readonly number[];
  /** `[tokens]`: the token after each; -100 where it does not count. */
  readonly targets: Int32Array;
}

/** What the layers are told beside the tokens. */
export interface HiddenOptions {
  /** Tokens of each sequence; they lie one after the other. */
  counts: readonly number[];
  /** Earlier tokens of the sequences, which the new ones see and join. No gradient passes through it. */
  cache?: KeyValueStore | undefined;
  /**
   * Called with what goes into each layer, and gives what goes in instead: for layers between those of the model.
   *
   * @param x     `[tokens, width]`
   * @param layer from 0
   */
  beforeLayer?: ((x: Tensor, layer: number) => Tensor) | undefined;
  /** Whether backward computes the layers again rather than keeping what they made. Default: false. */
  checkpoint?: boolean | undefined;
}

/** Targets that do not count. */
export const ignoredTarget = -100;

/**
 * A decoder language model, of whatever family: its options say all that differs.
 *
 * Sequences are ragged: tokens lie one after the other in one dimension, and `counts` says how many each sequence has.
 * Nothing is padded.
 *
 *     const logits = decoder.forward(tensor(Int32Array.of(1, 5, 9, 1, 7)), { counts: [3, 2] });
 */
export class Decoder extends Module {
  readonly embedding: Embedding;
  readonly positions: Embedding | undefined;
  readonly layers: readonly DecoderLayer[];
  readonly norm: LayerNorm | RMSNorm;
  /** Undefined where the embeddings are the head. */
  head: AdaptableLinear | undefined;
  readonly dropout: Dropout;
  readonly #rotary: readonly RotaryEmbedding[];

  /** @throws UsageError when options contradict each other */
  constructor(
    readonly options: DecoderOptions,
    init: DecoderInit = {},
  ) {
    super();
    requireOptions(options);
    const { vocabulary, width, tied = false, headBias = false, maxPositions } = options;
    const { std = 0.02, dtype = "float32", precision, generator } = init;
    const weights = { std, dtype, ...(generator && { generator }) };
    this.embedding = new Embedding(vocabulary, width, weights);
    this.positions =
      options.positions === "learned" ? new Embedding(maxPositions, width, weights) : undefined;
    const everywhere = rotaryOf(options, options.positions, dtype);
    const inWindows = options.windowPositions && rotaryOf(options, options.windowPositions, dtype);
    this.#rotary = [everywhere, inWindows].filter((rotary) => rotary !== undefined);
    this.layers = Array.from({ length: options.layers }, (_, layer) => {
      const windowed = options.windows?.[layer] !== undefined;
      const rotary = windowed ? (inWindows ?? everywhere) : everywhere;
      return new DecoderLayer(options, layer, rotary, init);
    });
    this.norm = makeNorm(width, options, dtype);
    this.head = tied
      ? undefined
      : new Linear(width, vocabulary, { ...weights, precision, bias: headBias });
    this.dropout = new Dropout(options.dropout?.embedding ?? 0, generator);
    this.#precision = precision ?? "float32";
  }

  readonly #precision: "float32" | "bfloat16";

  /** `ids [tokens]`, int32 → `[tokens, width]`; an id that is no token is an error at the read. */
  embed(ids: Tensor): Tensor {
    const { embeddingScale = 1 } = this.options;
    const vectors = this.embedding.forward(ids);
    const wide = vectors.dtype === "bfloat16" ? cast(vectors, "float32") : vectors;
    return embeddingScale === 1 ? wide : multiply(wide, embeddingScale);
  }

  /**
   * What the layers make of token embeddings, after the last norm.
   *
   * @param x `[tokens, width]`
   * @returns the shape of `x`
   * @throws ShapeError when `counts` are not all tokens
   * @throws UsageError when a sequence is longer than there are learned positions
   */
  hidden(x: Tensor, { counts, cache, beforeLayer, checkpoint = false }: HiddenOptions): Tensor {
    const { sequences, starts } = this.#sequences(x, counts, cache);
    let state = this.dropout.forward(this.#withPositions(x, counts, starts));
    for (const [i, layer] of this.layers.entries()) {
      const entering = beforeLayer?.(state, i) ?? state;
      const leaving = throughLayer(layer, entering, sequences, checkpoint && !cache);
      // Nobody else has seen it; a long prompt would hold one for each layer.
      if (!recordingTape() && i > 0 && !beforeLayer) state.dispose();
      state = leaving;
    }
    return this.norm.forward(state);
  }

  /**
   * Scores of the next token: `hidden [rows, width]` → `[rows, vocabulary]`, float32.
   */
  logits(hidden: Tensor): Tensor {
    const { softCap } = this.options;
    const scores = this.head ? this.head.forward(hidden) : this.#tiedLogits(hidden);
    return softCap === undefined ? scores : multiply(tanh(divide(scores, softCap)), softCap);
  }

  /** `ids [tokens]`, int32 → the logits after each token, `[tokens, vocabulary]`. */
  forward(ids: Tensor, options: HiddenOptions): Tensor {
    return this.logits(this.hidden(this.embed(ids), options));
  }

  /**
   * Mean cross-entropy of the targets that count. The logits never lie in memory.
   *
   * @param options as of {@link hidden}
   */
  loss(batch: TokenBatch, options: Omit<HiddenOptions, "counts" | "cache"> = {}): EncoderLoss {
    const { ids, counts, targets } = batch;
    const hidden = this.hidden(this.embed(tensor(ids)), { ...options, counts });
    return this.lossOf(hidden, targets);
  }

  /** As {@link loss}, of `hidden [tokens, width]`. Rows without a target that counts cost nothing. */
  lossOf(hidden: Tensor, targets: Int32Array): EncoderLoss {
    const { head, embedding } = this;
    const base = head && ("base" in head ? head.base : head);
    if (head !== base)
      throw new UsageError("Decoder.loss: the head has an adapter, which the loss does not know");
    const weight = base?.weight ?? embedding.weight;
    const bfloat16 = this.#precision === "bfloat16" && weight.value.dtype === "float32";
    const loss = linearCrossEntropy(hidden, weight.value, tensor(targets), {
      bias: base?.bias?.value,
      softCap: this.options.softCap,
      ignoreIndex: ignoredTarget,
      ...(bfloat16 && { precision: "bfloat16", shadow: weight.shadow }),
    });
    const count = targets.reduce((sum, target) => sum + Number(target !== ignoredTarget), 0);
    return { loss, parts: {}, count };
  }

  /** An empty cache for `batch` sequences. It is the caller's to dispose. */
  newCache({ batch, capacity }: { batch: number; capacity?: number | undefined }): Cache {
    return new Cache({
      ...this.#cacheSizes,
      ...{ batch, capacity },
      ...(this.positions && { maxLength: this.options.maxPositions }),
    });
  }

  /** An empty cache for sequences that share what they begin with. It is the caller's to dispose. */
  newRowCache(options: Pick<RowCacheOptions, "capacity" | "maxBytes"> = {}): RowCache {
    return new RowCache({ ...this.#cacheSizes, ...options });
  }

  get #cacheSizes() {
    const { layers, heads, kvHeads = heads, width, headWidth = width / heads } = this.options;
    const float64 = this.norm.weight.value.dtype === "float64";
    return { layers, kvHeads, headWidth, dtype: float64 ? "float64" : "float32" } as const;
  }

  override dispose(): void {
    super.dispose();
    for (const rotary of this.#rotary) rotary.dispose();
  }

  #sequences(x: Tensor, counts: readonly number[], cache: KeyValueStore | undefined) {
    const starts = cache?.lengths() ?? new Array<number>(counts.length).fill(0);
    if (starts.length !== counts.length)
      throw new ShapeError(
        `Decoder: counts are of ${counts.length} sequences, the cache has ${starts.length}`,
      );
    const offsets = new Int32Array(counts.length + 1);
    let longest = 0;
    for (const [i, count] of counts.entries()) {
      if (!(Number.isSafeInteger(count) && count >= 0))
        throw new ShapeError(`Decoder: counts must be whole numbers, got ${count}`);
      offsets[i + 1] = offsets[i]! + count;
      longest = Math.max(longest, starts[i]! + count);
    }
    const { width } = this.options;
    if (x.rank !== 2 || x.shape[0] !== offsets.at(-1) || x.shape[1] !== width)
      throw new ShapeError(
        `Decoder: x must be [${offsets.at(-1)}, ${width}], the tokens that counts add up to, got [${x.shape.join(", ")}]`,
      );
    const sequences: Sequences = { counts, offsets: tensor(offsets), longest, cache };
    return { sequences, starts };
  }

  #withPositions(x: Tensor, counts: readonly number[], starts: readonly number[]): Tensor {
    if (!this.positions) return x;
    const { maxPositions } = this.options;
    const positions = new Int32Array(x.shape[0]!);
    let row = 0;
    for (const [i, count] of counts.entries()) {
      if (starts[i]! + count > maxPositions)
        throw new UsageError(
          `Decoder: sequence ${i} would have ${starts[i]! + count} tokens, more than the ${maxPositions} positions of the model`,
        );
      for (let k = 0; k < count; k++) positions[row++] = starts[i]! + k;
    }
    const vectors = this.positions.forward(tensor(positions));
    return add(x, vectors.dtype === "bfloat16" ? cast(vectors, "float32") : vectors);
  }

  #tiedLogits(hidden: Tensor): Tensor {
    const { weight } = this.embedding;
    const bfloat16 = this.#precision === "bfloat16" && weight.value.dtype === "float32";
    return linear(hidden, weight.value, undefined, {
      ...(bfloat16 && { precision: "bfloat16", shadow: weight.shadow }),
    });
  }
}

/** @param recomputes whether backward computes the layer again */
function throughLayer(
  layer: DecoderLayer,
  x: Tensor,
  sequences: Sequences,
  recomputes: boolean,
): Tensor {
  if (!recordingTape()) return tidy(() => layer.forward(x, sequences));
  if (!recomputes) return layer.forward(x, sequences);
  return recompute(
    (x, offsets) => layer.forward(x, { ...sequences, offsets }),
    x,
    sequences.offsets,
  );
}

function rotaryOf(
  { width, heads, headWidth = width / heads }: DecoderOptions,
  positions: "learned" | DecoderRotary,
  dtype: DecoderInit["dtype"],
): RotaryEmbedding | undefined {
  if (positions === "learned") return undefined;
  const { width: turned = headWidth, ...options } = positions;
  return new RotaryEmbedding(turned, { ...options, ...(dtype === "float64" && { dtype }) });
}

function requireOptions(options: DecoderOptions): void {
  const { vocabulary, width, layers, heads, hiddenWidth, maxPositions } = options;
  const { kvHeads = heads, headWidth = width / heads, windows, attention } = options;
  const counts = { vocabulary, width, layers, heads, kvHeads, headWidth, hiddenWidth };
  for (const [name, value] of Object.entries({ ...counts, maxPositions }))
    if (!(Number.isSafeInteger(value) && value >= 1))
      throw new UsageError(`Decoder: ${name} must be a whole number from 1, got ${value}`);
  if (heads % kvHeads !== 0)
    throw new UsageError(`Decoder: kvHeads ${kvHeads} must divide heads ${heads}`);
  if (windows && windows.length !== layers)
    throw new UsageError(`Decoder: windows must be ${layers}, one a layer, got ${windows.length}`);
  if (attention?.packed && attention.queryKeyNorm)
    throw new UsageError("Decoder: packed queries and keys cannot be normalised");
}
