/** Invented histories and the batches of them, as the loader would make them. */

import type { Batch, BatchLayout } from "../../src/data/index.js";
import { type Tensor, tensor } from "../../src/index.js";
import type { EncoderFeature } from "../../src/models/index.js";

export interface Event {
  readonly item: number;
  readonly genre: readonly number[];
  /** `undefined`: none was given. */
  readonly rating: number | undefined;
}

export const items = 23;
export const genres = 5;
export const ratings = 4;
/** Most genres of an event. */
const longest = 3;

export const features: readonly EncoderFeature[] = [
  { name: "item", bag: false, size: items, of: "event" },
  { name: "genre", bag: true, size: genres, of: "item", longest },
  { name: "rating", bag: false, size: ratings, of: "event" },
];

/** A sequence of numbers in [0, 1) that depends on the seed alone: mulberry32. */
export function uniforms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** So many events; a rating is missing now and then, genres are none to three. */
export function inventedEvents(count: number, random: () => number): Event[] {
  const below = (limit: number) => Math.floor(random() * limit);
  return Array.from({ length: count }, () => {
    const first = below(genres);
    const rating = below(ratings + 1);
    return {
      item: below(items),
      genre: Array.from({ length: below(longest + 1) }, (_, i) => (first + i) % genres),
      rating: rating === ratings ? undefined : rating,
    };
  });
}

/**
 * The batch of some windows: of each its inputs and, last, the event after them.
 *
 * @param length  what a padded batch is padded to
 * @param padding what inputs are there, where the loader has zeros
 */
export function batchOf(
  windows: readonly (readonly Event[])[],
  {
    layout = "padded",
    length,
    padding = 0,
  }: { layout?: BatchLayout; length?: number; padding?: number } = {},
): Batch & Disposable {
  const made: Tensor[] = [];
  const own = (values: readonly number[], shape: readonly number[]): Tensor => {
    const result = tensor(Int32Array.from(values), { shape });
    made.push(result);
    return result;
  };
  const padded = layout === "padded";
  const counts = windows.map((window) => window.length - 1);
  const room = length ?? Math.max(...counts);
  const places = windows.flatMap((window, at) =>
    Array.from({ length: padded ? room : counts[at]! }, (_, i) =>
      i < counts[at]! ? { input: window[i]!, target: window[i + 1]! } : undefined,
    ),
  );
  const shape = padded ? [windows.length, room] : [places.length];
  const lists = places.map((place) => place?.input.genre ?? []);
  const extents = Int32Array.from(padded ? counts : running(counts));
  const extentTensor = own([...extents], [extents.length]);
  const batch: Batch = {
    size: windows.length,
    layout,
    users: Int32Array.from(windows, (_, i) => i),
    targetRows: Float64Array.from(windows, (_, i) => i),
    lengths: padded ? extentTensor : undefined,
    offsets: padded ? undefined : extentTensor,
    extents,
    inputs: {
      item: own(
        places.map((place) => place?.input.item ?? padding),
        shape,
      ),
      rating: own(
        places.map((place) => (place ? (place.input.rating ?? ratings) : padding)),
        shape,
      ),
    },
    bags: {
      genre: {
        ids: own(lists.flat(), [lists.flat().length]),
        offsets: own(running(lists.map((list) => list.length)), [lists.length + 1]),
      },
    },
    targets: {
      item: own(
        places.map((place) => place?.target.item ?? -100),
        shape,
      ),
      rating: own(
        places.map((place) => place?.target.rating ?? -100),
        shape,
      ),
      genre: own(
        places.flatMap((place) =>
          Array.from({ length: longest }, (_, i) => place?.target.genre[i] ?? -100),
        ),
        [...shape, longest],
      ),
    },
    keep() {
      return this;
    },
  };
  const dispose = () => {
    for (const each of made) each.dispose();
  };
  return Object.assign(batch, { [Symbol.dispose]: dispose });
}

/** 0, then the sums so far. */
export function running(counts: readonly number[]): number[] {
  const sums = [0];
  for (const count of counts) sums.push(sums.at(-1)! + count);
  return sums;
}
