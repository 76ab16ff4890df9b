/** Batches written down by hand. */
import type { Batch, BatchLayout } from "../../src/data/index.js";
import { type Tensor, tensor } from "../../src/index.js";
import type { EncoderData } from "../../src/models/index.js";

/** An event with one single feature, -1 where it is missing, and one bag. */
export interface HandEvent {
  readonly item: number;
  readonly rating: number;
  readonly genres: readonly number[];
}

export const handData = (length: number): EncoderData => ({
  features: [
    { name: "item", bag: false, size: 13, of: "event" },
    { name: "rating", bag: false, size: 5, of: "event" },
    { name: "genres", bag: true, size: 4, of: "item" },
  ],
  length,
});

export interface HandOptions {
  readonly layout: BatchLayout;
  /** Positions of a padded window. Default: as many as the longest has. */
  readonly length?: number;
  /** What padding inputs are, instead of zeros. */
  readonly padding?: number;
}

/**
 * What a loader makes of windows. The tensors are the enclosing `tidy`'s.
 *
 * @param windows the last event of each is its target
 */
export function batchOf(
  windows: readonly (readonly HandEvent[])[],
  {
    layout,
    padding = 0,
    length = Math.max(...windows.map((events) => events.length - 1)),
  }: HandOptions,
): Batch {
  const padded = layout === "padded";
  const lengths = windows.map((events) => events.length - 1);
  const positions = windows.flatMap((events) =>
    Array.from({ length: padded ? length : events.length - 1 }, (_, i) => ({
      input: i + 1 < events.length ? events[i] : undefined,
      target: events[i + 1],
    })),
  );
  const shape = padded ? [windows.length, length] : [positions.length];
  const ids = (value: (position: (typeof positions)[number]) => number): Tensor =>
    tensor(Int32Array.from(positions, value), { shape });
  const bags = positions.map(({ input }) => input?.genres ?? []);
  const longest = 3;
  const extents = Int32Array.from(padded ? lengths : runningSum(lengths));
  return {
    size: windows.length,
    layout,
    extents,
    users: Int32Array.from(windows.keys()),
    targetRows: Float64Array.from(windows.keys()),
    lengths: padded ? tensor(extents) : undefined,
    offsets: padded ? undefined : tensor(extents),
    inputs: {
      item: ids(({ input }) => input?.item ?? padding),
      rating: ids(({ input }) => (input ? (input.rating < 0 ? 5 : input.rating) : padding)),
    },
    bags: {
      genres: {
        ids: tensor(Int32Array.from(bags.flat())),
        offsets: tensor(Int32Array.from(runningSum(bags.map((bag) => bag.length)))),
      },
    },
    targets: {
      item: ids(({ target }) => target?.item ?? -100),
      rating: ids(({ target }) => (target && target.rating >= 0 ? target.rating : -100)),
      genres: tensor(
        Int32Array.from(
          positions.flatMap(({ target }) =>
            Array.from({ length: longest }, (_, i) => target?.genres[i] ?? -100),
          ),
        ),
        { shape: [...shape, longest] },
      ),
    },
    keep() {
      return this;
    },
  };
}

function runningSum(values: readonly number[]): number[] {
  let sum = 0;
  return [0, ...values.map((value) => (sum += value))];
}
