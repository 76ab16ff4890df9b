import type { Tensor } from "../tensor/tensor.js";
import { Dropout } from "./dropout.js";
import type { InitOptions } from "./init.js";
import { Linear } from "./linear.js";
import { Module } from "./module.js";

export interface MLPOptions extends InitOptions {
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
    { hiddenWidth = 4 * width, dropout = 0, ...init }: MLPOptions = {},
  ) {
    super();
    this.up = new Linear(width, hiddenWidth, init);
    this.down = new Linear(hiddenWidth, width, init);
    this.dropout = new Dropout(dropout, init.generator);
  }

  /** `x [..., width]` → the same shape. */
  forward(x: Tensor): Tensor {
    return this.dropout.forward(this.down.forward(this.up.forward(x, { activation: "gelu" })));
  }
}
