import { add } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { MultiHeadAttention, type MultiHeadAttentionOptions } from "./attention.js";
import { Dropout } from "./dropout.js";
import { MLP } from "./mlp.js";
import { Module } from "./module.js";
import { LayerNorm } from "./norm.js";

export interface TransformerBlockOptions extends MultiHeadAttentionOptions {
  /** Width inside the MLP. Default: four times the width. */
  hiddenWidth?: number;
}

/** Pre-norm transformer block: attention, then an MLP, each added to its input. */
export class TransformerBlock extends Module {
  readonly attentionNorm: LayerNorm;
  readonly attention: MultiHeadAttention;
  readonly attentionDropout: Dropout;
  readonly mlpNorm: LayerNorm;
  readonly mlp: MLP;

  constructor(
    readonly width: number,
    { hiddenWidth = 4 * width, ...options }: TransformerBlockOptions,
  ) {
    super();
    const { dropout = 0, dtype = "float32" } = options;
    this.attentionNorm = new LayerNorm(width, { dtype });
    this.attention = new MultiHeadAttention(width, options);
    this.attentionDropout = new Dropout(dropout, options.generator);
    this.mlpNorm = new LayerNorm(width, { dtype });
    this.mlp = new MLP(width, { ...options, hiddenWidth });
  }

  /** `x [batch, length, width]` → the same shape; `mask` as in {@link MultiHeadAttention.forward}. */
  forward(x: Tensor, mask?: Tensor): Tensor {
    const attended = this.attention.forward(this.attentionNorm.forward(x), mask);
    const residual = add(x, this.attentionDropout.forward(attended));
    return add(residual, this.mlp.forward(this.mlpNorm.forward(residual)));
  }
}
