import type { Shape, Tensor } from "../tensor/tensor.js";
import { cast } from "./cast.js";
import { defineOp } from "./define-op.js";
import { type Precision, precisionCode } from "./precision.js";

const op = defineOp({
  name: "matmul",
  inputs: ["a", "b"],
  attributes: ["transpose_a", "transpose_b", "scale", "sum_batch", "precision"],
  outputs: ["result"],
  gradient: {
    saves: (needs) => [...(needs.b ? (["a"] as const) : []), ...(needs.a ? (["b"] as const) : [])],
    rule({ saved: { a, b }, shapes, attributes, grad, needs }) {
      const { transpose_a: transposeA, transpose_b: transposeB, scale, precision } = attributes;
      // A matrix that a whole batch shares gets the sum of the batch's gradients.
      const product = (
        x: Tensor,
        transposeX: number,
        y: Tensor,
        transposeY: number,
        like: Shape,
      ): Tensor => {
        const sum = like.length === 2 && (x.rank > 2 || y.rank > 2) ? 1 : 0;
        // The result has the dtype of its first operand, and must have that of `grad`.
        const mixed = x.dtype !== y.dtype;
        return op(
          { a: mixed && x.dtype === "bfloat16" ? cast(x, "float32") : x, b: y },
          {
            transpose_a: transposeX,
            transpose_b: transposeY,
            scale,
            sum_batch: sum,
            precision: mixed ? 1 : precision,
          },
        )[0];
      };
      return {
        a: needs.a
          ? transposeA
            ? product(b, transposeB, grad, 1, shapes.a)
            : product(grad, 0, b, 1 - transposeB, shapes.a)
          : undefined,
        b: needs.b
          ? transposeB
            ? product(grad, 1, a, transposeA, shapes.b)
            : product(a, 1 - transposeA, grad, 0, shapes.b)
          : undefined,
      };
    },
  },
});

export interface MatmulOptions {
  /** Reads `a` as `[..., inner, rows]`. Default: false. */
  transposeA?: boolean;
  /** Reads `b` as `[..., columns, inner]`. Default: false. */
  transposeB?: boolean;
  /** Multiplies the product. Default: 1. */
  scale?: number;
  /**
   * Of the products, gradients' included. A bfloat16 `b` implies `bfloat16`. Default: `float32`, which leaves operands
   * as they are.
   */
  precision?: Precision;
}

/**
 * Matrix product, of two matrices or of batches of them.
 *
 *     scale · a · b
 *
 * Transposing costs nothing: the operand is read as it lies.
 *
 * @param a `[..., rows, inner]`
 * @param b `[..., inner, columns]`; the batch dimensions of `a`, or a matrix on either side that the batch shares
 * @returns `[..., rows, columns]`
 * @throws ShapeError when inner or batch dimensions disagree
 * @throws DTypeError when the dtypes differ, except a float32 `a` and a bfloat16 `b`
 */
export function matmul(
  a: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false, scale = 1, precision = "float32" }: MatmulOptions = {},
): Tensor {
  const [result] = op(
    { a, b },
    {
      transpose_a: transposeA ? 1 : 0,
      transpose_b: transposeB ? 1 : 0,
      scale,
      sum_batch: 0,
      precision: precisionCode("matmul", precision),
    },
  );
  return result;
}

/** `aᵀ · b` of the rows of all batch dimensions together: the gradient of a weight. Not recorded. */
export function outerProductSum(a: Tensor, b: Tensor, precision = 0): Tensor {
  const [result] = op(
    { a, b },
    { transpose_a: 1, transpose_b: 0, scale: 1, sum_batch: 1, precision },
  );
  return result;
}
