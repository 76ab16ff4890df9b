import { ShapeError } from "../errors.js";
import {
  formatShape,
  requireLive,
  type Shape,
  sizeOf,
  type Tensor,
  viewOfTensor,
} from "../tensor/tensor.js";
import { concat } from "./concat.js";
import { defineOp } from "./define-op.js";
import { zeros } from "./full.js";
import { noGrad, recordView, recordViews } from "./tape.js";

const sliceOp = defineOp({
  name: "slice",
  inputs: ["x"],
  attributes: ["axis", "begin", "end"],
  outputs: ["result"],
  gradient: {
    saves: [],
    rule: ({ shapes, attributes: { axis, begin, end }, grad }) => ({
      x: pad(grad, axis, begin, shapes.x.at(axis)! - end),
    }),
  },
});

const padOp = defineOp({
  name: "pad",
  inputs: ["x"],
  attributes: ["axis", "before", "after"],
  outputs: ["result"],
  gradient: {
    saves: [],
    rule: ({ shapes, attributes: { axis, before }, grad }) => ({
      x: slice(grad, axis, before, before + shapes.x.at(axis)!),
    }),
  },
});

/** `axis` counted from the start; out of range it stays as it is, for the native check to name it. */
const resolve = (axis: number, { length }: Shape): number => (axis < 0 ? axis + length : axis);

/** The elements [begin, end) of a dimension. A range of the leading dimension is a view: no copy. */
function range(x: Tensor, axis: number, begin: number, end: number): Tensor {
  const at = resolve(axis, x.shape);
  const whole = Number.isInteger(begin) && Number.isInteger(end) && at < x.rank;
  const leads = whole && at >= 0 && sizeOf(x.shape.slice(0, at)) === 1;
  if (!leads || !(0 <= begin && begin <= end && end <= x.shape[at]!)) {
    const [result] = sliceOp({ x }, { axis, begin, end });
    return result;
  }
  const result = viewOfTensor(
    x,
    x.shape.with(at, end - begin),
    begin * sizeOf(x.shape.slice(at + 1)),
  );
  const after = x.shape[at]! - end;
  recordView("slice", x, result, (grad) => pad(grad, at, begin, after));
  return result;
}

/**
 * The elements [begin, end) of one dimension; of the leading one without a copy.
 *
 * @param x     any dtype
 * @param axis  negative counts from the end
 * @param begin negative counts from the end, as in `Array.prototype.slice`
 * @param end   likewise; default: the dimension's size
 * @throws ShapeError when that is not a range of the dimension
 */
export function slice(x: Tensor, axis: number, begin: number, end?: number): Tensor {
  requireLive("slice", "x", x);
  const length = x.shape.at(axis) ?? 0;
  const from = begin < 0 ? begin + length : begin;
  const to = end === undefined ? length : end < 0 ? end + length : end;
  if (from < 0 || to < from)
    throw new ShapeError(
      `slice: [${begin}, ${end ?? length}) is not a range of dimension ${axis} of x ${formatShape(x.shape)}`,
    );
  return range(x, axis, from, to);
}

/**
 * Zeros before and after the elements of one dimension.
 *
 * @param x    any dtype
 * @param axis negative counts from the end
 * @throws ShapeError when x has no such dimension
 */
export function pad(x: Tensor, axis: number, before: number, after: number): Tensor {
  const [result] = padOp({ x }, { axis, before, after });
  return result;
}

/**
 * Cuts a dimension into parts; the leading one without a copy.
 *
 * @param x     any dtype
 * @param sizes the size of each part (the last may be shorter), or the sizes of all parts
 * @param axis  negative counts from the end
 * @throws ShapeError when the sizes do not add up to the dimension's
 */
export function split(x: Tensor, sizes: number | readonly number[], axis = 0): Tensor[] {
  requireLive("split", "x", x);
  const length = x.shape.at(axis);
  if (length === undefined || !Number.isInteger(axis))
    throw new ShapeError(`split: axis ${axis} is not a dimension of x ${formatShape(x.shape)}`);
  const parts = typeof sizes === "number" ? equalParts(length, sizes) : sizes;
  const total = parts.reduce((sum, size) => sum + size, 0);
  if (
    parts.length === 0 ||
    total !== length ||
    !parts.every((size) => Number.isInteger(size) && size >= 0)
  )
    throw new ShapeError(
      `split: sizes [${parts.join(", ")}] must add up to dimension ${axis} of x ${formatShape(x.shape)}`,
    );
  const results = noGrad(() => {
    let end = 0;
    return parts.map((size) => range(x, axis, end, (end += size)));
  });
  const shapes = results.map(({ shape }) => shape);
  const { dtype } = x;
  recordViews("split", x, results, (grads) =>
    concat(
      grads.map((grad, i) => grad ?? zeros(shapes[i]!, { dtype })),
      axis,
    ),
  );
  return results;
}

/**
 * Cuts a dimension into `chunks` parts of equal size; the last ones are shorter or missing where it does not divide,
 * as in PyTorch.
 *
 * @param x    any dtype
 * @param axis negative counts from the end
 * @throws ShapeError when x has no such dimension
 */
export function chunk(x: Tensor, chunks: number, axis = 0): Tensor[] {
  requireLive("chunk", "x", x);
  if (!(Number.isInteger(chunks) && chunks > 0))
    throw new ShapeError(`chunk: chunks must be a positive whole number, got ${chunks}`);
  const length = x.shape.at(axis) ?? 0;
  return length === 0
    ? split(x, new Array<number>(chunks).fill(0), axis)
    : split(x, Math.ceil(length / chunks), axis);
}

function equalParts(length: number, size: number): number[] {
  if (!(Number.isInteger(size) && size > 0))
    throw new ShapeError(`split: a part must have a positive whole size, got ${size}`);
  const count = Math.max(1, Math.ceil(length / size));
  return Array.from({ length: count }, (_, i) => Math.min(size, length - i * size));
}
