import { ShapeError, UsageError } from "../errors.js";
import { matmul, reshape, softmax, transpose, where } from "../ops/index.js";
import { formatShape, type Tensor } from "../tensor/tensor.js";
import { Dropout } from "./dropout.js";
import type { InitOptions } from "./init.js";
import { Linear } from "./linear.js";
import { Module } from "./module.js";

export interface MultiHeadAttentionOptions extends InitOptions {
  /** Must divide the width. */
  heads: number;
  /** On the attention probabilities. Default: 0. */
  dropout?: number;
  /** Whether the projections have biases. Default: true. */
  bias?: boolean;
}

/**
 * Multi-head self-attention, composed of separate ops.
 *
 *     softmax(query · keyᵀ / √headWidth) · value        per head
 *
 * @see Vaswani et al., "Attention is all you need", arXiv:1706.03762
 */
export class MultiHeadAttention extends Module {
  readonly heads: number;
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly output: Linear;
  readonly dropout: Dropout;

  constructor(
    readonly width: number,
    { heads, dropout = 0, ...linear }: MultiHeadAttentionOptions,
  ) {
    super();
    if (!(Number.isInteger(heads) && heads > 0 && width % heads === 0))
      throw new UsageError(`MultiHeadAttention: heads ${heads} must divide width ${width}`);
    this.heads = heads;
    this.query = new Linear(width, width, linear);
    this.key = new Linear(width, width, linear);
    this.value = new Linear(width, width, linear);
    this.output = new Linear(width, width, linear);
    this.dropout = new Dropout(dropout, linear.generator);
  }

  /**
   * @param x    `[batch, length, width]`
   * @param mask 1 lets a query see a key, 0 hides it: `[length, length]` or anything that broadcasts to
   *             `[batch, heads, length, length]`, uint8. See {@link causalMask}. Every query must see a key.
   * @returns    `[batch, length, width]`
   */
  forward(x: Tensor, mask?: Tensor): Tensor {
    if (x.rank !== 3 || x.shape[2] !== this.width)
      throw new ShapeError(
        `MultiHeadAttention: x must be [batch, length, ${this.width}], got ${formatShape(x.shape)}`,
      );
    const query = this.#split(this.query.forward(x));
    const key = this.#split(this.key.forward(x));
    const value = this.#split(this.value.forward(x));
    const scores = matmul(query, key, {
      transposeB: true,
      scale: 1 / Math.sqrt(this.width / this.heads),
    });
    const weights = this.dropout.forward(softmax(mask ? where(mask, scores, -Infinity) : scores));
    const attended = transpose(matmul(weights, value), [0, 2, 1, 3]);
    return this.output.forward(reshape(attended, x.shape));
  }

  /** `[batch, length, width]` → `[batch, heads, length, headWidth]` */
  #split(x: Tensor): Tensor {
    const [batch, length] = x.shape as [number, number, number];
    return transpose(
      reshape(x, [batch, length, this.heads, this.width / this.heads]),
      [0, 2, 1, 3],
    );
  }
}
