/** Where the inputs of a batch lie. */
import type { Batch } from "../../data/index.js";
import { UsageError } from "../../errors.js";
import { embedding, reshape } from "../../ops/index.js";
import { type Tensor, tensor } from "../../tensor/tensor.js";

/** How many inputs the windows of a batch have together. */
export function inputsOf({ layout, extents }: Batch): number {
  return layout === "ragged" ? extents.at(-1)! : extents.reduce((sum, length) => sum + length, 0);
}

/**
 * `x [size, length, width]` or `[positions, width]` at the last input of each window: `[size, width]`.
 *
 * @throws UsageError when a window has no inputs
 */
export function lastOf(x: Tensor, { layout, extents, size }: Batch): Tensor {
  const counts = layout === "padded" ? [...extents] : countsOf(extents);
  const empty = counts.indexOf(0);
  if (empty >= 0) throw new UsageError(`window ${empty} of the batch has no inputs to embed`);
  const width = x.shape.at(-1)!;
  const length = layout === "padded" ? x.shape[1]! : 0;
  const rows = Int32Array.from({ length: size }, (_, i) =>
    layout === "padded" ? i * length + counts[i]! - 1 : extents[i + 1]! - 1,
  );
  return embedding(reshape(x, [x.size / width, width]), tensor(rows));
}

/** How many inputs each window of a ragged batch has. */
export const countsOf = (offsets: Int32Array): number[] =>
  Array.from({ length: offsets.length - 1 }, (_, i) => offsets[i + 1]! - offsets[i]!);

/** The positions of so many inputs of each window, one window after the other, from `first` on. */
export function placesOf(counts: readonly number[], first?: readonly number[]): Int32Array {
  const places = new Int32Array(counts.reduce((sum, count) => sum + count, 0));
  let end = 0;
  counts.forEach((count, window) => {
    for (let i = 0; i < count; i++) places[end++] = (first?.[window] ?? 0) + i;
  });
  return places;
}
