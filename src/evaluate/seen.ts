import type { Seen } from "./ranker.js";

/**
 * The whole histories before some targets, however few of their events a window holds.
 *
 * @param items      of every event
 * @param starts     rows where each user's events begin
 * @param users      of each window
 * @param targetRows of each window
 */
export function seenBefore(
  items: Int32Array,
  starts: Float64Array,
  users: Int32Array,
  targetRows: Float64Array,
): Seen {
  const offsets = new Int32Array(users.length + 1);
  for (let i = 0; i < users.length; i++)
    offsets[i + 1] = offsets[i]! + targetRows[i]! - starts[users[i]!]!;
  const ids = new Int32Array(offsets.at(-1)!);
  for (let i = 0; i < users.length; i++)
    ids.set(items.subarray(starts[users[i]!]!, targetRows[i]!), offsets[i]!);
  return { ids, offsets };
}

/** What one window's user had. */
export const seenBy = ({ ids, offsets }: Seen, window: number): Int32Array =>
  ids.subarray(offsets[window]!, offsets[window + 1]!);
