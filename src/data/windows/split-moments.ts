import type { PreparedData } from "../prepared/prepared-data.js";
import { forRowBlocks, fromHalves, halvesOf } from "../prepared/row-blocks.js";

const bins = 1 << 16;

/**
 * The last moment such that at least `share` of all events happens at or after it. Exact, by counting events in ever
 * narrower bins, since sorting a copy of all moments would need their memory.
 *
 * @param share above 0, below 1
 */
export async function momentOfShare(
  data: PreparedData,
  share: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const halves = halvesOf(data.times());
  const task = "finding the moment of the split";
  const pass = (work: (from: number, to: number) => void) =>
    forRowBlocks(data.events, task, { signal }, work);

  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  await pass((from, to) => {
    for (let row = from; row < to; row++) {
      const time = fromHalves(halves, row);
      if (time < low) low = time;
      if (time > high) high = time;
    }
  });
  /** Events of the range before the moment that is looked for. */
  let rank = Math.floor((1 - share) * data.events);
  while (low < high) {
    const width = Math.ceil((high - low + 1) / bins);
    const counts = new Float64Array(bins);
    await pass((from, to) => {
      for (let row = from; row < to; row++) {
        const time = fromHalves(halves, row);
        if (time >= low && time <= high) counts[Math.floor((time - low) / width)]!++;
      }
    });
    let bin = 0;
    while (counts[bin]! <= rank) rank -= counts[bin++]!;
    low += bin * width;
    high = Math.min(high, low + width - 1);
  }
  return low;
}

/** First row of `from ... to` whose time is not before `moment`, of rows in the order of time; `to` if there is none. */
export function lowerBound(times: BigInt64Array, moment: bigint, from: number, to: number): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (times[middle]! < moment) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A moment for people and cards: ISO 8601, or milliseconds where the calendar does not reach. */
export function shownMoment(time: number): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? `${time} ms` : date.toISOString();
}
