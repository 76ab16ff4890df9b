import { setImmediate } from "node:timers/promises";

/** Up to this many, sorting by insertion beats a call of the engine's sort. */
const insertionRows = 24;
/** Up to this many, sorting takes less than about 15 ms. */
export const rowsAtOnce = 1 << 17;
/** Elements merged between two turns of the event loop. */
const mergedAtOnce = 1 << 18;

/**
 * Sorts rows by (time, place) in place, at most `rowsAtOnce` of them. Times that do not span too much are packed with
 * their places into whole numbers below 2^53: those the engine sorts in C++, and ties come out stable.
 *
 * @param times of the rows; overwritten
 * @param rows  their numbers; permuted
 */
export function sortByTime(times: Float64Array, rows: Uint32Array): void {
  const count = rows.length;
  if (count <= insertionRows) return insert(times, rows, 0, count);
  let least = times[0]!;
  let greatest = least;
  for (let i = 1; i < count; i++) {
    const time = times[i]!;
    if (time < least) least = time;
    else if (time > greatest) greatest = time;
  }
  const places = 2 ** (32 - Math.clz32(count - 1));
  if ((greatest - least + 1) * places <= 2 ** 53) sortPacked(times, rows, least, places);
  else for (const _ of mergeSteps(times, rows));
}

/** The same for any number of rows, letting others run in between. */
export async function sortManyByTime(times: Float64Array, rows: Uint32Array): Promise<void> {
  for (const _ of mergeSteps(times, rows)) await setImmediate();
}

function sortPacked(times: Float64Array, rows: Uint32Array, least: number, places: number): void {
  const count = rows.length;
  const keys = times.subarray(0, count);
  for (let i = 0; i < count; i++) keys[i] = (keys[i]! - least) * places + i;
  keys.sort();
  const before = rows.slice();
  const share = 1 / places;
  for (let i = 0; i < count; i++) {
    const key = keys[i]!;
    // A power of two divides without rounding.
    rows[i] = before[key - Math.floor(key * share) * places]!;
  }
}

/** Stable sort of `[start, end)` by insertion. */
function insert(times: Float64Array, rows: Uint32Array, start: number, end: number): void {
  for (let i = start + 1; i < end; i++) {
    const time = times[i]!;
    const row = rows[i]!;
    let to = i;
    for (; to > start && times[to - 1]! > time; to--) {
      times[to] = times[to - 1]!;
      rows[to] = rows[to - 1]!;
    }
    times[to] = time;
    rows[to] = row;
  }
}

interface Run {
  times: Float64Array;
  rows: Uint32Array;
}

/** Stable merge sort from short runs upwards. It pauses after every `mergedAtOnce` elements. */
function* mergeSteps(times: Float64Array, rows: Uint32Array): Generator<void> {
  const count = rows.length;
  let from: Run = { times, rows };
  let to: Run = { times: new Float64Array(count), rows: new Uint32Array(count) };
  let untilPause = mergedAtOnce;
  for (let start = 0; start < count; start += insertionRows) {
    insert(times, rows, start, Math.min(count, start + insertionRows));
    untilPause -= insertionRows;
    if (untilPause <= 0) {
      yield;
      untilPause = mergedAtOnce;
    }
  }
  for (let width = insertionRows; width < count; width *= 2) {
    for (let start = 0; start < count; start += 2 * width) {
      const middle = Math.min(count, start + width);
      const end = Math.min(count, middle + width);
      for (let at = start, left = start; at < end; ) {
        const stop = Math.min(end, at + untilPause);
        left = merge(from, to, left, middle, end, at, stop);
        untilPause -= stop - at;
        at = stop;
        if (untilPause === 0) {
          yield;
          untilPause = mergedAtOnce;
        }
      }
    }
    [from, to] = [to, from];
  }
  if (from.rows !== rows) rows.set(from.rows);
}

/**
 * Merges what is left of `[.., middle)` from `left` on, and of `[middle, end)`, into `to` from `at` to `stop`; what it
 * took from the right follows from `at` and `left`.
 *
 * @returns where the left side now stands
 */
function merge(
  from: Run,
  to: Run,
  left: number,
  middle: number,
  end: number,
  at: number,
  stop: number,
): number {
  const { times, rows } = from;
  let right = middle + (at - left);
  for (; at < stop; at++) {
    const takesLeft = left < middle && (right >= end || times[left]! <= times[right]!);
    const taken = takesLeft ? left++ : right++;
    to.times[at] = times[taken]!;
    to.rows[at] = rows[taken]!;
  }
  return left;
}
