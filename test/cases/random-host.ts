import { fromBFloat16, toBFloat16 } from "../../src/tensor/dtype.js";
import type { Shape } from "../../src/tensor/tensor.js";
import type { HostTensor, Random } from "./case.js";

/** Thrown by a `hostRandom` that is asked for more elements than its limit. */
export class TooLarge extends Error {}

/**
 * Numbers that depend on `seed` alone. Floating-point values are exact in float32, so that float32 and float64 runs
 * see the same inputs.
 *
 * @param seed  any text: equal texts give equal numbers
 * @param limit elements it makes at most, over all calls
 * @throws TooLarge beyond `limit`, before anything is made
 */
export function hostRandom(seed: string, limit = Infinity): Random {
  const next = uniforms(hash(seed));
  let made = 0;
  const make = (shape: Shape, dtype: HostTensor["dtype"], element: () => number): HostTensor => {
    const size = shape.reduce((product, dimension) => product * dimension, 1);
    made += size;
    if (made > limit) throw new TooLarge(`${made} elements, ${limit} at most`);
    const data = new Float64Array(size);
    for (let i = 0; i < size; i++) data[i] = element();
    return { shape, data, dtype };
  };

  let spare: number | undefined;
  const normal = (): number => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - next()));
    const angle = 2 * Math.PI * next();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };

  return {
    normal: (shape, scale = 1) => make(shape, "float", () => Math.fround(scale * normal())),
    uniform: (shape, low, high) =>
      make(shape, "float", () => Math.fround(low + (high - low) * next())),
    integers: (shape, limit) => make(shape, "int32", () => Math.floor(limit * next())),
    mask: (shape, probability = 0.5) => make(shape, "uint8", () => Number(next() < probability)),
    values(shape, data, dtype = "float") {
      let i = 0;
      const rounded =
        dtype === "bfloat16"
          ? fromBFloat16(toBFloat16(data))
          : dtype === "float"
            ? Float32Array.from(data)
            : data;
      return make(shape, dtype, () => rounded[i++] ?? Number.NaN);
    },
  };
}

/** FNV-1a. */
function hash(text: string): number {
  let state = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
  return state >>> 0;
}

/** Uniform in [0, 1) with 24 random bits: mulberry32. */
function uniforms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 8) / 0x1000000;
  };
}
