import { ShapeError } from "../errors.js";
import {
  formatShape,
  requireLive,
  type Shape,
  type Tensor,
  viewOfTensor,
} from "../tensor/tensor.js";
import { recordView } from "./tape.js";

/**
 * The same elements in another shape; no copy.
 *
 * @param shape sizes, of which one may be -1: it is computed from the others
 * @throws ShapeError when the number of elements differs
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  requireLive("reshape", "x", x);
  const known = shape.reduce((product, size) => (size === -1 ? product : product * size), 1);
  const free = shape.filter((size) => size === -1).length;
  const rest = x.size / known;
  if (free > 1 || (free === 1 && !Number.isInteger(rest)) || (free === 0 && known !== x.size))
    throw new ShapeError(
      `reshape: x ${formatShape(x.shape)} has ${x.size} elements, which do not fit ${formatShape(shape)}`,
    );
  const result = viewOfTensor(
    x,
    shape.map((size) => (size === -1 ? rest : size)),
  );
  recordView("reshape", x, result, (grad) => reshape(grad, x.shape));
  return result;
}

/** Drops dimensions of size 1: all of them, or the one at `axis`. */
export function squeeze(x: Tensor, axis?: number): Tensor {
  requireLive("squeeze", "x", x);
  if (axis === undefined)
    return reshape(
      x,
      x.shape.filter((size) => size !== 1),
    );
  const at = axis < 0 ? axis + x.rank : axis;
  if (x.shape[at] !== 1)
    throw new ShapeError(`squeeze: dimension ${axis} of ${formatShape(x.shape)} is not of size 1`);
  return reshape(
    x,
    x.shape.filter((_, i) => i !== at),
  );
}

/** Inserts a dimension of size 1 before `axis`; -1 appends one. */
export function unsqueeze(x: Tensor, axis: number): Tensor {
  requireLive("unsqueeze", "x", x);
  const at = axis < 0 ? axis + x.rank + 1 : axis;
  if (!(at >= 0 && at <= x.rank))
    throw new ShapeError(`unsqueeze: axis ${axis} does not fit ${formatShape(x.shape)}`);
  return reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
}
