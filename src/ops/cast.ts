import { type DType, dtypeCode, isFloat } from "../tensor/dtype.js";
import { requireLive, type Tensor, viewOfTensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";
import { recordView } from "./tape.js";

const op = defineOp({
  name: "cast",
  inputs: ["x"],
  attributes: ["dtype"],
  outputs: ["result"],
  gradient: { none: "cast() records it: the dtype of x is not among what a rule sees" },
});

/**
 * The same numbers in another dtype; no copy where it is the dtype of `x`.
 *
 * To int32 and uint8, fractions are cut off, numbers that do not fit become the nearest limit, and NaN becomes 0. To
 * bfloat16, numbers are rounded to nearest even. Between floating-point dtypes the gradient is cast back; all others
 * make a constant.
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  requireLive("cast", "x", x);
  const from = x.dtype;
  const result =
    dtype === from ? viewOfTensor(x, x.shape) : op({ x }, { dtype: dtypeCode(dtype) })[0];
  if (isFloat(from) && isFloat(dtype)) recordView("cast", x, result, (grad) => cast(grad, from));
  return result;
}

/** A copy of `x` on memory of its own. */
export function clone(x: Tensor): Tensor {
  requireLive("clone", "x", x);
  const [result] = op({ x }, { dtype: dtypeCode(x.dtype) });
  if (isFloat(x.dtype)) recordView("clone", x, result, (grad) => grad);
  return result;
}
