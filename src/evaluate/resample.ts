import { setImmediate } from "node:timers/promises";
import type { LongCall } from "../progress.js";
import { Random } from "./random.js";

/** The share of resamples whose values an interval holds. */
export const intervalLevel = 0.95;

/** Numbers worked on between two breaths: about ten milliseconds. */
const breath = 1 << 20;

/**
 * Draws users with replacement, as many as there are, again and again. All windows of a user come together, since they
 * are not independent of each other.
 *
 * @param work   on the numbers of times that each user was drawn: `[users]`, valid until it returns
 * @param effort numbers that the work looks at, for the pace
 * @see Field and Welsh, "Bootstrapping clustered data", JRSS B 69, 2007
 */
export async function resampleUsers(
  users: number,
  { resamples, seed, effort }: { resamples: number; seed: number; effort: number },
  { signal, onProgress }: LongCall,
  work: (times: Uint32Array) => void,
): Promise<void> {
  const random = new Random(seed);
  const times = new Uint32Array(users);
  const block = Math.max(1, Math.floor(breath / (users + effort)));
  for (let done = 0; done < resamples; done++) {
    if (done % block === 0) {
      signal?.throwIfAborted();
      onProgress?.({ task: "resampling users", done, total: resamples, unit: "steps" });
      await setImmediate();
    }
    times.fill(0);
    for (let i = 0; i < users; i++) times[random.below(users)]!++;
    work(times);
  }
  onProgress?.({ task: "resampling users", done: resamples, total: resamples, unit: "steps" });
}

/** The percentile interval of resampled values; undefined without any. Sorts them. */
export function percentileInterval(
  values: Float64Array,
  level = intervalLevel,
): readonly [low: number, high: number] | undefined {
  if (values.length === 0) return undefined;
  values.sort();
  const outside = (1 - level) / 2;
  return [quantile(values, outside), quantile(values, 1 - outside)];
}

/** Between the two nearest of rising values, in proportion. */
function quantile(rising: Float64Array, share: number): number {
  const place = share * (rising.length - 1);
  const below = Math.floor(place);
  const low = rising[below]!;
  const high = rising[Math.min(below + 1, rising.length - 1)]!;
  return low + (high - low) * (place - below);
}
