import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";

const op = defineOp({
  name: "accumulate",
  inputs: ["target", "value"],
  attributes: [],
  outputs: [],
  gradient: { none: "changes its target in place" },
});

/**
 * Adds `value` to `target` in place. For sums that their owner keeps to itself, such as gradients over several
 * batches; never for a tensor that a tape has seen.
 *
 * @param target float32 or float64
 * @param value  shape and dtype of `target`
 * @throws ShapeError, DTypeError when they differ
 */
export function accumulate(target: Tensor, value: Tensor): void {
  op({ target, value }, {});
}
