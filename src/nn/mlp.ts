import { geluExact, relu, silu } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Dropout } from "./dropout.js";
import { Linear, type LinearLayerOptions } from "./linear.js";
import type { AdaptableLinear } from "./lora-linear.js";
import { Module } from "./module.js";

/** Between the layers of an {@link MLP}. */
const activations = { geluExact, relu, silu } as const;

export interface MLPOptions extends LinearLayerOptions {
  /** Width between the two layers. Default: four times the width. */
  hiddenWidth?: number;
  /** `gelu` is the tanh form, in the same pass as the layer before it. Default: `gelu`. */
  activation?: "gelu" | keyof typeof activations;
  /** After the second layer. Default: 0. */
  dropout?: number;
}

/** Two linear layers with an activation between them. */
export class MLP extends Module {
  up: AdaptableLinear;
  down: AdaptableLinear;
  readonly dropout: Dropout;
  readonly activation: NonNullable<MLPOptions["activation"]>;

  constructor(
    readonly width: number,
    { hiddenWidth = 4 * width, dropout = 0, activation = "gelu", ...linear }: MLPOptions = {},
  ) {
    super();
    this.up = new Linear(width, hiddenWidth, linear);
    this.down = new Linear(hiddenWidth, width, linear);
    this.dropout = new Dropout(dropout, linear.generator);
    this.activation = activation;
  }

  /** `x [..., width]` → the same shape; `residual`, of that shape, is added. */
  forward(x: Tensor, residual?: Tensor): Tensor {
    const { activation } = this;
    const hidden =
      activation === "gelu"
        ? this.up.forward(x, { activation })
        : activations[activation](this.up.forward(x));
    return this.dropout.after(this.down, hidden, residual);
  }
}
