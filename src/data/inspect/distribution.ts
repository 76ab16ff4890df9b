/** Numbers told by how often each occurs: as many entries as there are different numbers. */
export type Tally = ReadonlyMap<number, number>;

/** How numbers are spread. Quantiles are nearest-rank: numbers that occur. */
export interface Distribution {
  readonly min: number;
  readonly median: number;
  readonly mean: number;
  /** 90 % of the numbers are at most this. */
  readonly p90: number;
  readonly max: number;
}

/** The distribution of a tally; null of an empty one. Quantiles are nearest-rank: numbers of the tally. */
export function distributionOf(tally: Tally): Distribution | null {
  const groups = sorted(tally);
  const [first] = groups;
  if (first === undefined) return null;
  let count = 0;
  let sum = 0;
  for (const [value, times] of groups) {
    count += times;
    sum += value * times;
  }
  const quantile = (share: number): number => {
    let left = Math.max(1, Math.ceil(share * count));
    return groups.find(([, times]) => (left -= times) <= 0)![0];
  };
  return {
    min: first[0],
    median: quantile(0.5),
    mean: sum / count,
    p90: quantile(0.9),
    max: groups.at(-1)![0],
  };
}

/** Part of the sum that the largest numbers have, of as many as `share` of all, rounded up. 0 of an empty tally. */
export function shareOfLargest(tally: Tally, share: number): number {
  const groups = sorted(tally).reverse();
  const total = groups.reduce((sum, [value, times]) => sum + value * times, 0);
  let left = Math.ceil(share * groups.reduce((sum, [, times]) => sum + times, 0));
  let part = 0;
  for (const [value, times] of groups) {
    part += value * Math.min(left, times);
    left -= Math.min(left, times);
  }
  return total === 0 ? 0 : part / total;
}

/** Gini coefficient: 0 when all numbers are equal, towards 1 when one has everything. 0 of an empty tally. */
export function giniOf(tally: Tally): number {
  let count = 0;
  let sum = 0;
  let weighted = 0;
  for (const [value, times] of sorted(tally)) {
    // Σ rank · value over the ranks count + 1 ... count + times.
    weighted += value * times * (count + (times + 1) / 2);
    count += times;
    sum += value * times;
  }
  return sum === 0 ? 0 : (2 * weighted) / (count * sum) - (count + 1) / count;
}

/** How many numbers are at least `least`. */
export function countFrom(tally: Tally, least: number): number {
  let count = 0;
  for (const [value, times] of tally) if (value >= least) count += times;
  return count;
}

export function add(tally: Map<number, number>, value: number): void {
  tally.set(value, (tally.get(value) ?? 0) + 1);
}

const sorted = (tally: Tally): [value: number, times: number][] =>
  [...tally].sort(([a], [b]) => a - b);
