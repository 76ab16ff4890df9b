import { Parameter } from "../autograd/parameter.js";
import { layerNorm, ones, rmsNorm, zeros } from "../ops/index.js";
import type { DType } from "../tensor/dtype.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

export interface NormOptions {
  eps?: number;
  /** Default: `float32`. */
  dtype?: DType;
}

/** Layer normalisation over the last dimension, with weight and bias. */
export class LayerNorm extends Module {
  /** `[width]` */
  readonly weight: Parameter;
  /** `[width]` */
  readonly bias: Parameter;
  readonly eps: number;

  constructor(
    readonly width: number,
    { eps = 1e-5, dtype = "float32" }: NormOptions = {},
  ) {
    super();
    this.eps = eps;
    this.weight = new Parameter(ones([width], { dtype }));
    this.bias = new Parameter(zeros([width], { dtype }));
  }

  /** `x [..., width]` → the same shape. */
  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight.value, this.bias.value, { eps: this.eps });
  }
}

/** Root-mean-square normalisation over the last dimension. */
export class RMSNorm extends Module {
  /** `[width]` */
  readonly weight: Parameter;
  readonly eps: number;

  constructor(
    readonly width: number,
    { eps = 1e-6, dtype = "float32" }: NormOptions = {},
  ) {
    super();
    this.eps = eps;
    this.weight = new Parameter(ones([width], { dtype }));
  }

  /** `x [..., width]` → the same shape. */
  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight.value, { eps: this.eps });
  }
}
