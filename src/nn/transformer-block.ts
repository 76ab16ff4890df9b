import type { Tensor } from "../tensor/tensor.js";
import {
  MultiHeadAttention,
  type MultiHeadAttentionInputs,
  type MultiHeadAttentionOptions,
} from "./attention.js";
import { GatedMLP } from "./gated-mlp.js";
import { MLP } from "./mlp.js";
import { Module } from "./module.js";
import { LayerNorm, RMSNorm } from "./norm.js";

export interface TransformerBlockOptions extends MultiHeadAttentionOptions {
  /** Width inside the MLP. Default: four times the width. */
  hiddenWidth?: number;
  /** Default: `layer`. */
  norm?: "layer" | "rms";
  /** Of the norms. Default: 1e-5 for `layer`, 1e-6 for `rms`. */
  normEps?: number;
  /** `gelu` has two layers; `swiglu` and `geglu` three, without biases. Default: `gelu`. */
  mlp?: "gelu" | "swiglu" | "geglu";
}

/**
 * Pre-norm transformer block: attention, then an MLP, each added to its input.
 *
 *     h = x + attention(norm(x))        h + mlp(norm(h))
 */
export class TransformerBlock extends Module {
  readonly attentionNorm: LayerNorm | RMSNorm;
  readonly attention: MultiHeadAttention;
  readonly mlpNorm: LayerNorm | RMSNorm;
  readonly mlp: MLP | GatedMLP;

  constructor(
    readonly width: number,
    options: TransformerBlockOptions,
  ) {
    super();
    const {
      hiddenWidth = 4 * width,
      norm = "layer",
      normEps,
      mlp = "gelu",
      dtype = "float32",
    } = options;
    const makeNorm = () =>
      new (norm === "rms" ? RMSNorm : LayerNorm)(width, {
        dtype,
        ...(normEps !== undefined && { eps: normEps }),
      });
    this.attentionNorm = makeNorm();
    this.attention = new MultiHeadAttention(width, options);
    this.mlpNorm = makeNorm();
    this.mlp =
      mlp === "gelu"
        ? new MLP(width, { ...options, hiddenWidth })
        : new GatedMLP(width, {
            ...options,
            bias: false,
            hiddenWidth,
            activation: mlp === "swiglu" ? "silu" : "gelu",
          });
  }

  /** `x` and what it is part of as for {@link MultiHeadAttention.forward} → the shape of `x`. */
  forward(x: Tensor, sequence: Omit<MultiHeadAttentionInputs, "residual"> = {}): Tensor {
    const attended = this.attention.forward(this.attentionNorm.forward(x), {
      ...sequence,
      residual: x,
    });
    return this.mlp.forward(this.mlpNorm.forward(attended), attended);
  }
}
