import type { Tensor } from "../../src/index.js";

/** The largest difference of two elements, relative to the largest element of `b`. */
export async function distance(a: Tensor, b: Tensor): Promise<number> {
  const [x, y] = [await a.dataAs("float32"), await b.dataAs("float32")];
  if (x.length !== y.length) return Infinity;
  const most = y.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  return x.reduce((worst, value, i) => Math.max(worst, Math.abs(value - y[i]!)), 0) / most;
}

/** Some hundred roundings of float32 in a row. */
export const tolerance = 3e-6;
