/** The ops that chain, as methods of tensors: `x.matmul(w).add(b).gelu()`. All others are functions. */
import type { DType } from "../tensor/dtype.js";
import { type Shape, Tensor } from "../tensor/tensor.js";
import { add, divide, multiply, type Operand, subtract } from "./binary.js";
import { cast } from "./cast.js";
import { type MatmulOptions, matmul } from "./matmul.js";
import { type Axes, max, mean, type ReduceOptions, sum } from "./reduce.js";
import { reshape } from "./reshape.js";
import { softmax } from "./softmax.js";
import { transpose } from "./transpose.js";
import { exp, gelu, log, negate, relu, sqrt, square, tanh } from "./unary.js";

/** Each is the function of its name with the tensor as first argument. */
export interface TensorMethods {
  /** See {@link add}. */
  add(b: Operand): Tensor;
  /** See {@link cast}. */
  cast(dtype: DType): Tensor;
  /** See {@link divide}. */
  divide(b: Operand): Tensor;
  /** See {@link exp}. */
  exp(): Tensor;
  /** See {@link gelu}. */
  gelu(): Tensor;
  /** See {@link log}. */
  log(): Tensor;
  /** See {@link matmul}. */
  matmul(b: Tensor, options?: MatmulOptions): Tensor;
  /** See {@link max}. */
  max(axes?: Axes, options?: ReduceOptions): Tensor;
  /** See {@link mean}. */
  mean(axes?: Axes, options?: ReduceOptions): Tensor;
  /** See {@link multiply}. */
  multiply(b: Operand): Tensor;
  /** See {@link negate}. */
  negate(): Tensor;
  /** See {@link relu}. */
  relu(): Tensor;
  /** See {@link reshape}. */
  reshape(shape: Shape): Tensor;
  /** See {@link softmax}. */
  softmax(): Tensor;
  /** See {@link sqrt}. */
  sqrt(): Tensor;
  /** See {@link square}. */
  square(): Tensor;
  /** See {@link subtract}. */
  subtract(b: Operand): Tensor;
  /** See {@link sum}. */
  sum(axes?: Axes, options?: ReduceOptions): Tensor;
  /** See {@link tanh}. */
  tanh(): Tensor;
  /** See {@link transpose}. */
  transpose(axes?: readonly number[]): Tensor;
}

declare module "../tensor/tensor.js" {
  interface Tensor extends TensorMethods {}
}

const functions: {
  [K in keyof TensorMethods]: (x: Tensor, ...rest: Parameters<TensorMethods[K]>) => Tensor;
} = {
  add,
  cast,
  divide,
  exp,
  gelu,
  log,
  matmul,
  max,
  mean,
  multiply,
  negate,
  relu,
  reshape,
  softmax,
  sqrt,
  square,
  subtract,
  sum,
  tanh,
  transpose,
};

for (const [name, of] of Object.entries(functions)) {
  const apply = of as (x: Tensor, ...rest: unknown[]) => Tensor;
  Object.defineProperty(Tensor.prototype, name, {
    value(this: Tensor, ...rest: unknown[]): Tensor {
      return apply(this, ...rest);
    },
    configurable: true,
    writable: true,
  });
}
