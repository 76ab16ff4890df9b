import type { Tensor } from "../tensor/tensor.js";
import { Dropout } from "./dropout.js";
import { Linear, type LinearLayerOptions } from "./linear.js";
import { Module } from "./module.js";

export interface MLPOptions extends LinearLayerOptions {
  /** Width between the two layers. Default: four times the width. */
  hiddenWidth?: number;
  /** After the second layer. Default: 0. */
  dropout?: number;
}

/** Two linear layers with a tanh-GELU between them. */
export class MLP extends Module {
  readonly up: Linear;
  readonly down: Linear;
  readonly dropout: Dropout;

  constructor(
    readonly width: number,
    { hiddenWidth = 4 * width, dropout = 0, ...linear }: MLPOptions = {},
  ) {
    super();
    this.up = new Linear(width, hiddenWidth, linear);
    this.down = new Linear(hiddenWidth, width, linear);
    this.dropout = new Dropout(dropout, linear.generator);
  }

  /** `x [..., width]` → the same shape; `residual`, of that shape, is added. */
  forward(x: Tensor, residual?: Tensor): Tensor {
    return this.dropout.after(this.down, this.up.forward(x, { activation: "gelu" }), residual);
  }
}
