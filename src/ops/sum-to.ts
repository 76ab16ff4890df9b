import { type Shape, sameShape, type Tensor } from "../tensor/tensor.js";
import { sum } from "./reduce.js";
import { reshape } from "./reshape.js";

/** The gradient of broadcasting `shape` to the shape of `x`: sums over the repeated dimensions. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const added = x.rank - shape.length;
  const repeated = (size: number, d: number): boolean => d < added || shape[d - added] !== size;
  const axes = [...x.shape.keys()].filter((d) => repeated(x.shape[d]!, d));
  return reshape(sum(x, axes), shape);
}
