import { Parameter } from "../autograd/parameter.js";
import { type LinearOptions, linear } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { fanInUniform, type InitOptions } from "./init.js";
import { Module } from "./module.js";

export interface LinearLayerOptions extends InitOptions {
  /** Default: true. */
  bias?: boolean;
}

/** `x · weightᵀ + bias`; weights start uniform in ±1/√inWidth, as PyTorch's. */
export class Linear extends Module {
  /** `[outWidth, inWidth]` */
  readonly weight: Parameter;
  /** `[outWidth]` */
  readonly bias: Parameter | undefined;

  constructor(
    readonly inWidth: number,
    readonly outWidth: number,
    { bias = true, ...init }: LinearLayerOptions = {},
  ) {
    super();
    this.weight = new Parameter(fanInUniform([outWidth, inWidth], inWidth, init));
    this.bias = bias ? new Parameter(fanInUniform([outWidth], inWidth, init)) : undefined;
  }

  /**
   * `x [..., inWidth]` → `[..., outWidth]`.
   *
   * @param options a GELU or a residual added in the same pass
   */
  forward(x: Tensor, options?: LinearOptions): Tensor {
    return linear(x, this.weight.value, this.bias?.value, options);
  }
}
