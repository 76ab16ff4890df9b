import { Parameter } from "../autograd/parameter.js";
import { ShapeError } from "../errors.js";
import { add, attention, multiply, reshape, tanh, zeros } from "../ops/index.js";
import { formatShape, type Tensor } from "../tensor/tensor.js";
import { type AttentionLayerOptions, headsOf, type SequenceOptions } from "./attention.js";
import { Dropout } from "./dropout.js";
import { Linear } from "./linear.js";
import { Module } from "./module.js";

export interface CrossAttentionOptions extends AttentionLayerOptions {
  /** `tanh` multiplies the result by tanh of a parameter that starts at zero: the layer begins as nothing. Default: `none`. */
  gate?: "tanh" | "none";
}

/** A context that is ready to be attended to: computed once, it serves any number of queries. */
export interface ProjectedContext {
  /** `[batch, keys, kvHeads, headWidth]`, or `[tokens, kvHeads, headWidth]` with `offsets` */
  readonly key: Tensor;
  /** The shape of `key`. */
  readonly value: Tensor;
}

export interface CrossAttentionInputs {
  /** Which positions of the context are real. A query without any gets zeros. */
  context?: SequenceOptions | undefined;
  /** Where each sequence of queries begins in `x [tokens, width]`, and the end: `[batch + 1]`, int32. */
  offsets?: Tensor | undefined;
  /** Added to the gated result: the shape of `x`. */
  residual?: Tensor | undefined;
}

/**
 * Multi-head attention from one sequence into another, of a width of its own.
 *
 *     tanh(gate) · output(softmax(scale · query · keyᵀ) · value)        per head
 *
 * With the gate and `residual: x` a language model that gets such layers computes at first exactly what it did.
 *
 * @see Alayrac et al., "Flamingo", arXiv:2204.14198
 */
export class CrossAttention extends Module {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly output: Linear;
  /** `[1]` */
  readonly gate: Parameter | undefined;
  readonly dropout: Dropout;
  readonly #options: Pick<AttentionLayerOptions, "scale" | "softCap">;

  constructor(
    readonly width: number,
    readonly contextWidth: number,
    options: CrossAttentionOptions,
  ) {
    super();
    const { dropout = 0, gate = "none", scale, softCap } = options;
    const { heads, kvHeads, headWidth } = headsOf("CrossAttention", width, options);
    this.heads = heads;
    this.kvHeads = kvHeads;
    this.headWidth = headWidth;
    this.query = new Linear(width, heads * headWidth, options);
    this.key = new Linear(contextWidth, kvHeads * headWidth, options);
    this.value = new Linear(contextWidth, kvHeads * headWidth, options);
    this.output = new Linear(heads * headWidth, width, options);
    this.gate =
      gate === "tanh"
        ? new Parameter(zeros([1], { dtype: options.dtype ?? "float32" }))
        : undefined;
    this.dropout = new Dropout(dropout, options.generator);
    this.#options = { scale, softCap };
  }

  /**
   * Keys and values of a context.
   *
   * @param context `[batch, keys, contextWidth]`, or `[tokens, contextWidth]` where `offsets` part it
   */
  project(context: Tensor): ProjectedContext {
    if ((context.rank !== 2 && context.rank !== 3) || context.shape.at(-1) !== this.contextWidth)
      throw new ShapeError(
        `CrossAttention: the context must be [batch, keys, ${this.contextWidth}], or [tokens, ${this.contextWidth}] ` +
          `with offsets, got ${formatShape(context.shape)}`,
      );
    const split = (x: Tensor) =>
      reshape(x, [...context.shape.slice(0, -1), this.kvHeads, this.headWidth]);
    return { key: split(this.key.forward(context)), value: split(this.value.forward(context)) };
  }

  /**
   * @param x       `[batch, queries, width]`, or `[tokens, width]` with `offsets`
   * @param context see {@link project}, or what it returned
   * @returns       the shape of `x`
   */
  forward(
    x: Tensor,
    context: Tensor | ProjectedContext,
    { context: keys = {}, offsets, residual }: CrossAttentionInputs = {},
  ): Tensor {
    if (x.rank !== (offsets ? 2 : 3) || x.shape.at(-1) !== this.width)
      throw new ShapeError(
        `CrossAttention: x must be ${offsets ? "[tokens" : "[batch, queries"}, ${this.width}], got ${formatShape(x.shape)}`,
      );
    const { key, value } = "key" in context ? context : this.project(context);
    const lead = x.shape.slice(0, -1);
    const query = reshape(this.query.forward(x), [...lead, this.heads, this.headWidth]);
    const attended = reshape(
      attention(query, key, value, {
        ...this.#options,
        queryOffsets: offsets,
        keyOffsets: keys.offsets,
        keyLengths: keys.lengths,
        dropout: this.dropout.active ? this.dropout.p : 0,
        generator: this.dropout.generator,
      }),
      [...lead, this.heads * this.headWidth],
    );
    if (!this.gate) return this.dropout.after(this.output, attended, residual);
    const gated = multiply(this.dropout.after(this.output, attended), tanh(this.gate.value));
    return residual ? add(residual, gated) : gated;
  }
}
