import { Parameter } from "../autograd/parameter.js";
import { type LinearOptions, linear, type Precision } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { fanInUniform, type InitOptions, normal, zeros } from "./init.js";
import { Module } from "./module.js";

export interface LinearLayerOptions extends InitOptions {
  /**
   * Standard deviation of weights that start normal, with biases at zero; 0 for weights that a checkpoint replaces.
   * Default: weights and biases uniform in ±1/√inWidth, as PyTorch's.
   */
  std?: number | undefined;
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

/** `x · weightᵀ + bias`. */
export class Linear extends Module {
  /** `[outWidth, inWidth]` */
  readonly weight: Parameter;
  /** `[outWidth]` */
  readonly bias: Parameter | undefined = undefined;
  readonly precision: Precision;

  constructor(
    readonly inWidth: number,
    readonly outWidth: number,
    { bias = true, precision = "float32", std, ...init }: LinearLayerOptions = {},
  ) {
    super();
    const shape = [outWidth, inWidth] as const;
    this.weight = new Parameter(
      std === undefined ? fanInUniform(shape, inWidth, init) : normal(shape, std, init),
    );
    this.precision = precision;
    if (bias)
      this.bias = new Parameter(
        std === undefined ? fanInUniform([outWidth], inWidth, init) : zeros([outWidth], init),
      );
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
    const copied = precision === "bfloat16" && weight.value.dtype === "float32";
    return copied ? { precision, shadow: weight.shadow } : { precision };
  }
}
