import { Parameter } from "../autograd/parameter.js";
import { add, layerNorm, ones, rmsNorm, zeros } from "../ops/index.js";
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

export interface RMSNormOptions extends NormOptions {
  /** Whether the weight is what the scale differs from 1 by, as Gemma's. It starts at 0 then. Default: false. */
  unitOffset?: boolean;
}

/** Root-mean-square normalisation over the last dimension. */
export class RMSNorm extends Module {
  /** `[width]` */
  readonly weight: Parameter;
  readonly eps: number;
  readonly unitOffset: boolean;

  constructor(
    readonly width: number,
    { eps = 1e-6, dtype = "float32", unitOffset = false }: RMSNormOptions = {},
  ) {
    super();
    this.eps = eps;
    this.unitOffset = unitOffset;
    this.weight = new Parameter((unitOffset ? zeros : ones)([width], { dtype }));
  }

  /** `x [..., width]` → the same shape. */
  forward(x: Tensor): Tensor {
    const { value } = this.weight;
    return rmsNorm(x, this.unitOffset ? add(value, 1) : value, { eps: this.eps });
  }
}
