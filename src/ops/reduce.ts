import { requireLive, type Shape, type Tensor } from "../tensor/tensor.js";
import { divide } from "./binary.js";
import { broadcastTo } from "./broadcast-to.js";
import { defineOp } from "./define-op.js";
import { reshape } from "./reshape.js";

const inputs = ["x"] as const;
const attributes = ["axes*", "keep_dims"] as const;
const outputs = ["result"] as const;

const sumOp = defineOp({
  name: "sum",
  inputs,
  attributes,
  outputs,
  gradient: {
    saves: [],
    rule: ({ shapes, attributes: { axes }, grad }) => ({ x: spread(grad, shapes.x, axes) }),
  },
});

const meanOp = defineOp({
  name: "mean",
  inputs,
  attributes,
  outputs,
  gradient: {
    saves: [],
    rule({ shapes, attributes: { axes }, grad }) {
      const count = axes.reduce((product, axis) => product * shapes.x.at(axis)!, 1);
      return { x: spread(divide(grad, count), shapes.x, axes) };
    },
  },
});

const extremeOp = (name: "max" | "min") =>
  defineOp({
    name,
    inputs,
    attributes,
    outputs,
    gradient: {
      saves: ["x", "result"],
      rule({ saved: { x, result }, attributes, grad }) {
        const [gradient] = extremeBackward({ x, result, grad }, attributes);
        return { x: gradient };
      },
    },
  });
const maxOp = extremeOp("max");
const minOp = extremeOp("min");

const extremeBackward = defineOp({
  name: "extreme_backward",
  inputs: ["x", "result", "grad"],
  attributes,
  outputs: ["x_grad"],
  gradient: { none: "second derivatives are not supported" },
});

/** Repeats the gradient of a result along the dimensions that were reduced. */
function spread(grad: Tensor, shape: Shape, axes: readonly number[]): Tensor {
  const kept = [...shape];
  for (const axis of axes) kept[axis < 0 ? axis + shape.length : axis] = 1;
  return broadcastTo(reshape(grad, kept), shape);
}

export interface ReduceOptions {
  /** Keeps the reduced dimensions, with size 1. Default: false. */
  keepDims?: boolean | undefined;
}

/** A dimension or several; negative counts from the end. */
export type Axes = number | readonly number[];

function reduce(
  op: string,
  run: typeof sumOp | typeof maxOp,
  x: Tensor,
  axes: Axes | undefined,
  { keepDims = false }: ReduceOptions,
): Tensor {
  requireLive(op, "x", x);
  const list = typeof axes === "number" ? [axes] : (axes ?? [...x.shape.keys()]);
  const [result] = run({ x }, { axes: list, keep_dims: keepDims ? 1 : 0 });
  return result;
}

/**
 * Sum over dimensions, 0 where there are no elements.
 *
 * float32 is summed in blocks whose sums are added in double precision. The result does not depend on the number of
 * threads.
 *
 * @param x    float32, float64 or int32; an int32 sum that overflows is a fault
 * @param axes default: all
 * @throws ShapeError when `x` has no such dimension, or one is named twice
 */
export const sum = (x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor =>
  reduce("sum", sumOp, x, axes, options);

/**
 * Mean over dimensions, summed as {@link sum} does; NaN where there are no elements.
 *
 * @param x    float32 or float64
 * @param axes default: all
 * @throws ShapeError, DTypeError
 */
export const mean = (x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor =>
  reduce("mean", meanOp, x, axes, options);

/**
 * Maximum over dimensions; NaN if any element is. Elements that are equal to it share its gradient, as in PyTorch's
 * `amax`.
 *
 * @param x    float32 or float64
 * @param axes default: all
 * @throws ShapeError when there are no elements; DTypeError
 */
export const max = (x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor =>
  reduce("max", maxOp, x, axes, options);

/** Minimum over dimensions; otherwise as {@link max}. */
export const min = (x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor =>
  reduce("min", minOp, x, axes, options);
