import { setImmediate } from "node:timers/promises";
import type { LongCall } from "../../progress.js";

/** Rows between two breaths, where a row is a few nanoseconds of work. */
const defaultBlock = 1 << 17;

/**
 * Goes over rows in blocks, between which whatever else the process does gets its turn.
 *
 * @param task  for progress
 * @param block rows of a block
 */
export async function forRowBlocks(
  rows: number,
  task: string,
  { signal, onProgress }: LongCall,
  work: (from: number, to: number) => void,
  block = defaultBlock,
): Promise<void> {
  for (let from = 0; from < rows; from += block) {
    signal?.throwIfAborted();
    const to = Math.min(rows, from + block);
    work(from, to);
    onProgress?.({ task, done: to, total: rows, unit: "rows" });
    await setImmediate();
  }
}

/** 64-bit integers as pairs of 32-bit halves, which are read without making a `BigInt` of each. */
export const halvesOf = ({ buffer, byteOffset, length }: BigInt64Array): Int32Array =>
  new Int32Array(buffer, byteOffset, 2 * length);

/** Element `row` of what {@link halvesOf} gives; exact up to 2^53. */
export const fromHalves = (halves: Int32Array, row: number): number =>
  halves[2 * row + 1]! * 2 ** 32 + (halves[2 * row]! >>> 0);
