import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";
import { unsqueeze } from "./reshape.js";
import { slice } from "./slice.js";

const op = defineOp({
  name: "concat",
  inputs: ["parts*"],
  attributes: ["axis"],
  outputs: ["result"],
  gradient: {
    saves: [],
    rule({ shapes, attributes: { axis }, grad, needs }) {
      let end = 0;
      const parts = shapes.parts.map((shape, i) => {
        const begin = end;
        end += shape.at(axis)!;
        return needs.parts[i] ? slice(grad, axis, begin, end) : undefined;
      });
      return { parts };
    },
  },
});

/**
 * Lays tensors one after another along a dimension.
 *
 * @param tensors one or more of one dtype (any), whose shapes agree in all dimensions but `axis`
 * @param axis    negative counts from the end
 * @throws ShapeError when the shapes do not agree, DTypeError when the dtypes differ
 */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  const [result] = op({ parts: tensors }, { axis });
  return result;
}

/**
 * Lays tensors of one shape along a new dimension, inserted before `axis`.
 *
 * @param tensors one or more of one shape and dtype
 * @param axis    a dimension of the result; negative counts from its end
 * @throws ShapeError, DTypeError when shapes or dtypes differ
 */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  return concat(
    tensors.map((tensor) => unsqueeze(tensor, axis)),
    axis,
  );
}
