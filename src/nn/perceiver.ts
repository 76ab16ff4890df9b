import { Parameter } from "../autograd/parameter.js";
import { UsageError } from "../errors.js";
import { broadcastTo } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import type { AttentionLayerOptions, SequenceOptions } from "./attention.js";
import { CrossAttention } from "./cross-attention.js";
import { normal } from "./init.js";
import { MLP } from "./mlp.js";
import { Module } from "./module.js";
import { LayerNorm } from "./norm.js";

export interface PerceiverOptions extends Omit<AttentionLayerOptions, "heads"> {
  /** How many embeddings come out. Default: 16. */
  latents?: number;
  /** Default: 6. */
  layers?: number;
  /** Default: 8. */
  heads?: number;
  /** Of the latents. Default: the width of the context. */
  width?: number;
  /** Width inside the MLPs. Default: four times the width. */
  hiddenWidth?: number;
}

/** The latents attend to the context, then an MLP; each is added to its input. */
class PerceiverLayer extends Module {
  readonly attentionNorm: LayerNorm;
  readonly attention: CrossAttention;
  readonly mlpNorm: LayerNorm;
  readonly mlp: MLP;

  constructor(
    width: number,
    contextWidth: number,
    options: AttentionLayerOptions & { hiddenWidth: number },
  ) {
    super();
    const { dtype = "float32" } = options;
    this.attentionNorm = new LayerNorm(width, { dtype });
    this.attention = new CrossAttention(width, contextWidth, options);
    this.mlpNorm = new LayerNorm(width, { dtype });
    this.mlp = new MLP(width, options);
  }

  forward(latents: Tensor, context: Tensor, sequence: SequenceOptions): Tensor {
    const attended = this.attention.forward(this.attentionNorm.forward(latents), context, {
      context: sequence,
      residual: latents,
    });
    return this.mlp.forward(this.mlpNorm.forward(attended), attended);
  }
}

/**
 * Compresses any number of embeddings to a fixed, small one: trained latent queries read them by cross-attention, layer
 * after layer.
 *
 * @see Jaegle et al., "Perceiver", arXiv:2103.03206
 */
export class Perceiver extends Module {
  /** `[latents, width]` */
  readonly latents: Parameter;
  readonly contextNorm: LayerNorm;
  readonly layers: readonly PerceiverLayer[];
  readonly norm: LayerNorm;
  readonly width: number;

  constructor(
    readonly contextWidth: number,
    options: PerceiverOptions = {},
  ) {
    super();
    const { latents = 16, layers = 6, heads = 8, width = contextWidth, ...rest } = options;
    const { hiddenWidth = 4 * width, dtype = "float32", generator } = options;
    if (!(Number.isInteger(latents) && latents > 0))
      throw new UsageError(`Perceiver: latents must be a whole number from 1 on, got ${latents}`);
    if (!(Number.isInteger(layers) && layers > 0))
      throw new UsageError(`Perceiver: layers must be a whole number from 1 on, got ${layers}`);
    this.width = width;
    this.latents = new Parameter(
      normal([latents, width], 0.02, { dtype, ...(generator && { generator }) }),
    );
    this.contextNorm = new LayerNorm(contextWidth, { dtype });
    this.layers = Array.from(
      { length: layers },
      () => new PerceiverLayer(width, contextWidth, { ...rest, heads, hiddenWidth }),
    );
    this.norm = new LayerNorm(width, { dtype });
  }

  /**
   * @param context  `[batch, length, contextWidth]`
   * @param sequence how much of it is real; an empty one leaves the latents to themselves
   * @returns        `[batch, latents, width]`
   */
  forward(context: Tensor, sequence: Pick<SequenceOptions, "lengths"> = {}): Tensor {
    const normed = this.contextNorm.forward(context);
    let x = broadcastTo(this.latents.value, [context.shape[0]!, ...this.latents.shape]);
    for (const layer of this.layers) x = layer.forward(x, normed, sequence);
    return this.norm.forward(x);
  }
}
