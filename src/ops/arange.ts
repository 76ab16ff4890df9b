import { UsageError } from "../errors.js";
import type { DType } from "../tensor/dtype.js";
import { type Tensor, tensor } from "../tensor/tensor.js";

export interface ArangeOptions {
  /** Default: `int32` where start and step are whole numbers, else `float32`. */
  dtype?: DType | undefined;
}

/**
 * The numbers `start`, `start + step`, ... below `end` (above it for a negative step).
 *
 *     arange(4)               // 0, 1, 2, 3
 *     arange(10, 4, -2)       // 10, 8, 6
 */
export function arange(end: number, options?: ArangeOptions): Tensor;
export function arange(start: number, end: number, step?: number, options?: ArangeOptions): Tensor;
export function arange(
  first: number,
  second?: number | ArangeOptions,
  step = 1,
  options: ArangeOptions = {},
): Tensor {
  const [start, end] = typeof second === "number" ? [first, second] : [0, first];
  const whole = Number.isInteger(start) && Number.isInteger(step);
  const { dtype = whole ? "int32" : "float32" } = typeof second === "object" ? second : options;
  const length = Math.max(0, Math.ceil((end - start) / step));
  if (!Number.isFinite(length))
    throw new UsageError(`arange: from ${start} to ${end} in steps of ${step} does not end`);
  const values = Float64Array.from({ length }, (_, i) => start + i * step);
  return tensor(values, { dtype });
}
