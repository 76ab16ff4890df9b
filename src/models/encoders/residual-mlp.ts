import { LayerNorm, MLP, type MLPOptions, Module } from "../../nn/index.js";
import type { Tensor } from "../../tensor/tensor.js";

/** `x + mlp(norm(x))` */
export class ResidualMLP extends Module {
  readonly norm: LayerNorm;
  readonly mlp: MLP;

  constructor(width: number, options: MLPOptions = {}) {
    super();
    this.norm = new LayerNorm(width);
    this.mlp = new MLP(width, options);
  }

  /** `x [..., width]` → the same shape. */
  forward(x: Tensor): Tensor {
    return this.mlp.forward(this.norm.forward(x), x);
  }
}
