import { type DType, dtypeCode } from "../tensor/dtype.js";
import type { Shape, Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";

const op = defineOp({
  name: "full",
  inputs: [],
  attributes: ["dtype", "value", "shape*"],
  outputs: ["result"],
  gradient: { none: "a constant" },
});

export interface CreationOptions {
  /** Default: `float32`. */
  dtype?: DType;
}

/** A tensor of `shape` whose elements are all `value`. */
export function full(
  shape: Shape,
  value: number,
  { dtype = "float32" }: CreationOptions = {},
): Tensor {
  const [result] = op({}, { dtype: dtypeCode(dtype), value, shape });
  return result;
}

/** A tensor of zeros. */
export const zeros = (shape: Shape, options?: CreationOptions): Tensor => full(shape, 0, options);

/** A tensor of ones. */
export const ones = (shape: Shape, options?: CreationOptions): Tensor => full(shape, 1, options);

/** Zeros with the shape and dtype of `x`. */
export const zerosLike = (x: Tensor): Tensor => full(x.shape, 0, { dtype: x.dtype });

/** Ones with the shape and dtype of `x`. */
export const onesLike = (x: Tensor): Tensor => full(x.shape, 1, { dtype: x.dtype });
