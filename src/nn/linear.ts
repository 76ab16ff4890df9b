import { Parameter } from "../autograd/parameter.js";
import { type LinearOptions, linear, type Precision } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { fanInUniform, type InitOptions } from "./init.js";
import { Module } from "./module.js";

export interface LinearLayerOptions extends InitOptions {
  /** Default: true. */
  bias?: boolean;
  /**
   * Of the products. `bfloat16` reads a copy of the weight that the optimizer keeps up to date, sums in float32, and
   * trains the float32 weight. Default: `float32`.
   */
  precision?: Precision | undefined;
}

/** The part of {@link LinearOptions} that a layer decides. */
export type ProductOptions = Pick<LinearOptions, "precision" | "shadow">;

/** `x · weightᵀ + bias`; weights start uniform in ±1/√inWidth, as PyTorch's. */
export class Linear extends Module {
  /** `[outWidth, inWidth]` */
  readonly weight: Parameter;
  /** `[outWidth]` */
  readonly bias: Parameter | undefined;
  readonly precision: Precision;

  constructor(
    readonly inWidth: number,
    readonly outWidth: number,
    { bias = true, precision = "float32", ...init }: LinearLayerOptions = {},
  ) {
    super();
    this.weight = new Parameter(fanInUniform([outWidth, inWidth], inWidth, init));
    this.precision = precision;
    this.bias = bias ? new Parameter(fanInUniform([outWidth], inWidth, init)) : undefined;
  }

  /**
   * `x [..., inWidth]` → `[..., outWidth]`.
   *
   * @param options a GELU or a residual added in the same pass
   */
  forward(x: Tensor, options: Omit<LinearOptions, keyof ProductOptions> = {}): Tensor {
    return linear(x, this.weight.value, this.bias?.value, { ...options, ...this.product });
  }

  /** How products with the weight are made. */
  get product(): ProductOptions {
    const { precision, weight } = this;
    return precision === "bfloat16" ? { precision, shadow: weight.shadow } : { precision };
  }
}
