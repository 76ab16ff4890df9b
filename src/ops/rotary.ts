import { ShapeError, UsageError } from "../errors.js";
import type { DType } from "../tensor/dtype.js";
import { type Tensor, tensor } from "../tensor/tensor.js";

/** The wire code is the position. */
export const rotaryStyles = ["none", "interleaved", "half"] as const;

/**
 * Which elements of a head turn together: `interleaved` pairs 2i with 2i + 1, as in RoFormer; `half` pairs i with
 * i + width / 2, as Llama's and Qwen's checkpoints have it.
 */
export type RotaryStyle = Exclude<(typeof rotaryStyles)[number], "none">;

export interface RotaryTableOptions {
  /** Pair i turns by `base ^ (-2i / width)` per position. Default: 10,000. */
  base?: number | undefined;
  /** Radians per position of each pair, `width / 2` of them, instead of `base`: for scaled variants. */
  inverseFrequencies?: ArrayLike<number> | undefined;
  /** Default: `float32`. The angles are float64 either way. */
  dtype?: Extract<DType, "float32" | "float64"> | undefined;
}

/**
 * Cosines and sines of the angles by which rotary embedding turns the pairs of a head.
 *
 *     table[position, i] = (cos, sin)(position · base ^ (-2i / width))
 *
 * @param positions how many; a token beyond them is a fault
 * @param width     elements of a head that turn, even; at most the head's width
 * @returns         `[positions, width / 2, 2]`
 * @throws ShapeError, UsageError
 * @see Su et al., "RoFormer: Enhanced transformer with rotary position embedding", arXiv:2104.09864
 */
export function rotaryTable(
  positions: number,
  width: number,
  { base = 10_000, inverseFrequencies, dtype = "float32" }: RotaryTableOptions = {},
): Tensor {
  if (!(Number.isSafeInteger(positions) && positions >= 0))
    throw new UsageError(`rotaryTable: positions must be a whole number, got ${positions}`);
  if (!(Number.isSafeInteger(width) && width >= 0 && width % 2 === 0))
    throw new UsageError(`rotaryTable: width must be an even number, got ${width}`);
  if (!(base > 0)) throw new UsageError(`rotaryTable: base must be positive, got ${base}`);
  const pairs = width / 2;
  if (inverseFrequencies && inverseFrequencies.length !== pairs)
    throw new ShapeError(
      `rotaryTable: inverseFrequencies must be one for each pair, ${pairs}, got ${inverseFrequencies.length}`,
    );
  const table = new (dtype === "float64" ? Float64Array : Float32Array)(positions * width);
  for (let i = 0; i < pairs; i++) {
    const frequency = inverseFrequencies?.[i] ?? base ** ((-2 * i) / width);
    for (let position = 0; position < positions; position++) {
      table[position * width + 2 * i] = Math.cos(position * frequency);
      table[position * width + 2 * i + 1] = Math.sin(position * frequency);
    }
  }
  return tensor(table, { shape: [positions, pairs, 2] });
}
