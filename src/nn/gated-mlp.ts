import { UsageError } from "../errors.js";
import { type GateActivation, geglu, swiglu } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Dropout } from "./dropout.js";
import { Linear, type LinearLayerOptions } from "./linear.js";
import type { AdaptableLinear } from "./lora-linear.js";
import { Module } from "./module.js";

export interface GatedMLPOptions extends LinearLayerOptions {
  /** Width between the layers. Default: 8/3 of the width, rounded up to a multiple of 64. */
  hiddenWidth?: number;
  /** Of the gate; `gelu` is the tanh form. Default: `silu`. */
  activation?: GateActivation;
  /** Whether the layers have biases. Default: false. */
  bias?: boolean;
  /** After the last layer. Default: 0. */
  dropout?: number;
}

/**
 * The gated MLP of LLaMA (with `silu`) and Gemma (with `gelu`).
 *
 *     down(activation(gate(x)) · up(x))
 *
 * With the default width it has as many weights as an {@link MLP} of four times the width.
 *
 * @see Shazeer, "GLU variants improve transformer", arXiv:2002.05202
 */
export class GatedMLP extends Module {
  gate: AdaptableLinear;
  up: AdaptableLinear;
  down: AdaptableLinear;
  readonly dropout: Dropout;
  readonly activation: GateActivation;

  constructor(
    readonly width: number,
    {
      hiddenWidth = Math.ceil((8 * width) / 3 / 64) * 64,
      activation = "silu",
      bias = false,
      dropout = 0,
      ...linear
    }: GatedMLPOptions = {},
  ) {
    super();
    if (activation !== "silu" && activation !== "gelu")
      throw new UsageError(
        `GatedMLP: activation must be "silu" or "gelu", got "${activation as string}"`,
      );
    this.gate = new Linear(width, hiddenWidth, { bias, ...linear });
    this.up = new Linear(width, hiddenWidth, { bias, ...linear });
    this.down = new Linear(hiddenWidth, width, { bias, ...linear });
    this.dropout = new Dropout(dropout, linear.generator);
    this.activation = activation;
  }

  /** `x [..., width]` → the same shape; `residual`, of that shape, is added. */
  forward(x: Tensor, residual?: Tensor): Tensor {
    const gated = this.activation === "silu" ? swiglu : geglu;
    return this.dropout.after(this.down, gated(this.gate.forward(x), this.up.forward(x)), residual);
  }
}
