import {
  cast,
  type Generator,
  ones as onesOp,
  rand,
  randn,
  zeros as zerosOp,
} from "../ops/index.js";
import type { DType } from "../tensor/dtype.js";
import { tidy } from "../tensor/memory.js";
import type { Shape, Tensor } from "../tensor/tensor.js";

/** How initial values are made. */
export interface InitOptions {
  /** Default: the one that `seed()` sets. */
  generator?: Generator;
  /** Default: `float32`. */
  dtype?: Extract<DType, "float32" | "float64" | "bfloat16">;
}

/** Normal with mean 0; a deviation of 0 takes no random numbers. */
export const normal = (shape: Shape, std: number, options: InitOptions = {}): Tensor =>
  std === 0
    ? zeros(shape, options)
    : drawn(options, (dtype) => randn(shape, { ...options, dtype, std }));

/** Uniform in ±limit. */
export const uniform = (shape: Shape, limit: number, options: InitOptions = {}): Tensor =>
  drawn(options, (dtype) => rand(shape, { ...options, dtype, low: -limit, high: limit }));

/** Uniform in ±1/√fanIn: what PyTorch's linear layers start with. */
export const fanInUniform = (shape: Shape, fanIn: number, options: InitOptions = {}): Tensor =>
  uniform(shape, fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0, options);

/** Uniform in ±√(6 / (fanIn + fanOut)), for `[fanOut, fanIn]`. Glorot & Bengio, AISTATS 2010. */
export const xavierUniform = (
  shape: readonly [number, number],
  options: InitOptions = {},
): Tensor => uniform(shape, Math.sqrt(6 / (shape[0] + shape[1])), options);

/** Normal with standard deviation √(2 / fanIn), for `[fanOut, fanIn]` before a ReLU. He et al., arXiv:1502.01852 */
export const kaimingNormal = (
  shape: readonly [number, number],
  options: InitOptions = {},
): Tensor => normal(shape, Math.sqrt(2 / shape[1]), options);

export const zeros = (shape: Shape, { dtype = "float32" }: InitOptions = {}): Tensor =>
  zerosOp(shape, { dtype });

export const ones = (shape: Shape, { dtype = "float32" }: InitOptions = {}): Tensor =>
  onesOp(shape, { dtype });

/** Draws are float32 or float64; bfloat16 is rounded from float32. */
const drawn = (
  { dtype = "float32" }: InitOptions,
  draw: (dtype: "float32" | "float64") => Tensor,
): Tensor => (dtype === "bfloat16" ? tidy(() => cast(draw("float32"), "bfloat16")) : draw(dtype));
