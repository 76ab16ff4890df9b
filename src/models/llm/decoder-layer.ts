import {
  GatedMLP,
  type LayerNorm,
  MLP,
  Module,
  type RMSNorm,
  type RotaryEmbedding,
} from "../../nn/index.js";
import { add } from "../../ops/index.js";
import type { Tensor } from "../../tensor/index.js";
import { DecoderAttention, makeNorm, type Sequences } from "./decoder-attention.js";
import type { DecoderInit, DecoderOptions } from "./decoder-options.js";

/**
 * A decoder's layer: attention and an MLP, each of what a norm gives of its input.
 *
 *     h = x + attention(norm(x))        h + mlp(norm(h))               one after the other
 *     x + attention(norm(x)) + mlp(norm(x))                            in parallel
 *     h = x + norm(attention(norm(x)))  h + norm(mlp(norm(h)))         with norms after
 */
export class DecoderLayer extends Module {
  readonly attentionNorm: LayerNorm | RMSNorm;
  readonly attention: DecoderAttention;
  readonly attentionNormAfter: LayerNorm | RMSNorm | undefined;
  readonly mlpNorm: LayerNorm | RMSNorm;
  readonly mlp: MLP | GatedMLP;
  readonly mlpNormAfter: LayerNorm | RMSNorm | undefined;
  readonly parallel: boolean;

  constructor(
    options: DecoderOptions,
    layer: number,
    rotary: RotaryEmbedding | undefined,
    init: DecoderInit,
  ) {
    super();
    const { width, hiddenWidth, parallel = false, normAfter = false, mlp, dropout } = options;
    const { std = 0.02, dtype = "float32", precision, generator } = init;
    const layers = {
      ...{ hiddenWidth, std, dtype, precision, bias: mlp.bias ?? false },
      ...{ dropout: dropout?.residual ?? 0, ...(generator && { generator }) },
    };
    const norm = () => makeNorm(width, options, dtype);
    this.attentionNorm = norm();
    this.attention = new DecoderAttention(options, layer, rotary, init);
    this.attentionNormAfter = normAfter ? norm() : undefined;
    this.mlpNorm = norm();
    this.mlp =
      mlp.kind === "gated"
        ? new GatedMLP(width, { ...layers, activation: mlp.activation })
        : new MLP(width, { ...layers, activation: mlp.activation });
    this.mlpNormAfter = normAfter ? norm() : undefined;
    this.parallel = parallel;
  }

  /** `x [tokens, width]` → the same shape. */
  forward(x: Tensor, sequences: Sequences): Tensor {
    const { attentionNorm, attention, attentionNormAfter, mlpNorm, mlp, mlpNormAfter } = this;
    const normed = attentionNorm.forward(x);
    if (this.parallel)
      return mlp.forward(mlpNorm.forward(x), attention.forward(normed, sequences, x));
    if (!attentionNormAfter || !mlpNormAfter) {
      const attended = attention.forward(normed, sequences, x);
      return mlp.forward(mlpNorm.forward(attended), attended);
    }
    const attended = add(x, attentionNormAfter.forward(attention.forward(normed, sequences)));
    return add(attended, mlpNormAfter.forward(mlp.forward(mlpNorm.forward(attended))));
  }
}
