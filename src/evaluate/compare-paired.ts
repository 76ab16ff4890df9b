import { UsageError } from "../errors.js";
import type { LongCall } from "../progress.js";
import { clustersOf } from "./measure.js";
import { type MetricName, worthOf } from "./metrics.js";
import { protocolDifferences } from "./protocol-differences.js";
import { Random } from "./random.js";
import type { RankingResult } from "./ranking-result.js";
import { intervalLevel, percentileInterval, resampleUsers } from "./resample.js";

/** What {@link comparePaired} is told. */
export interface ComparePairedOptions extends LongCall {
  /** Any k will do: the metric is computed from the ranks. Default: `ndcg@10`. */
  metric?: MetricName | undefined;
  /** Whether items that the user had before are left out. Default: true. */
  masked?: boolean | undefined;
  /** Resamplings for the interval, and as many exchanges for the p-value; at least 1. Default: 10,000. */
  resamples?: number | undefined;
  /** From 0 to 2^32 - 1. Default: 0. */
  seed?: number | undefined;
}

/** How two rankers differ on the same users. Plain data. */
export interface RankingComparison {
  readonly metric: MetricName;
  readonly masked: boolean;
  readonly a: { readonly ranker: string; readonly mean: number };
  readonly b: { readonly ranker: string; readonly mean: number };
  /** Mean of a less mean of b. */
  readonly difference: number;
  /** The percentile interval of the difference over resampled users. */
  readonly interval: readonly [low: number, high: number];
  /** Of the level of 95 %. */
  readonly level: number;
  /** How often chance alone makes a difference as large, in either direction. */
  readonly pValue: number;
  readonly users: number;
  readonly windows: number;
  readonly resamples: number;
  readonly seed: number;
}

/**
 * Compares two results user by user, which needs far fewer users than to compare means.
 *
 * The interval is a bootstrap over users: their windows come together. The p-value is of a randomisation test: if the
 * rankers were alike, each user's difference could as well have the other sign. It is the share of random signs, the
 * observed ones among them, that make a mean difference as large, so it is never 0. Exchanging a and b changes signs
 * and nothing else.
 *
 * @throws UsageError when the results are not of the same targets under the same rules, naming what differs
 * @see Smucker, Allan and Carterette, "A comparison of statistical significance tests for information retrieval
 *   evaluation", CIKM 2007
 */
export async function comparePaired(
  a: RankingResult,
  b: RankingResult,
  options: ComparePairedOptions = {},
): Promise<RankingComparison> {
  const { metric = "ndcg@10", masked = true, resamples = 10_000, seed = 0 } = options;
  const { signal, onProgress } = options;
  requireWhole("resamples", resamples, 1, 10_000_000);
  requireWhole("seed", seed, 0, 2 ** 32 - 1);
  requireAlike(a, b);
  const column = masked ? "masked" : "unmasked";
  const worth = worthOf(metric);
  const worthsOf = ({ windows }: RankingResult) => windows[column].map(worth);
  const [first, second] = [worthsOf(a), worthsOf(b)];
  const { sums, counts } = byUser(a, first, second);
  const windows = first.length;

  const draws = new Float64Array(resamples);
  const random = new Random(seed ^ 0x5bd1e995);
  const observed = Math.abs(total(sums));
  let asLarge = 1;
  let at = 0;
  const settings = { resamples, seed, effort: 2 * sums.length };
  await resampleUsers(sums.length, settings, { signal, onProgress }, (times) => {
    let sum = 0;
    let count = 0;
    let exchanged = 0;
    for (let user = 0; user < sums.length; user++) {
      sum += times[user]! * sums[user]!;
      count += times[user]! * counts[user]!;
      exchanged += (random.word() & 0x8000_0000) === 0 ? sums[user]! : -sums[user]!;
    }
    draws[at++] = sum / count;
    // Sums in another order differ in their last bits.
    if (Math.abs(exchanged) >= observed * (1 - 1e-12)) asLarge++;
  });
  const mean = (worths: readonly number[]): number => total(worths) / windows;
  return {
    metric,
    masked,
    a: { ranker: a.ranker, mean: mean(first) },
    b: { ranker: b.ranker, mean: mean(second) },
    difference: total(sums) / windows,
    interval: percentileInterval(draws)!,
    level: intervalLevel,
    pValue: asLarge / (resamples + 1),
    users: sums.length,
    windows,
    resamples,
    seed,
  };
}

/** Differences added up over each user's windows, and how many windows those are. */
function byUser(
  { windows }: RankingResult,
  first: readonly number[],
  second: readonly number[],
): { sums: Float64Array; counts: Float64Array } {
  const clusters = clustersOf(windows.users);
  const users = clusters.at(-1)! + 1;
  const sums = new Float64Array(users);
  const counts = new Float64Array(users);
  for (const [i, cluster] of clusters.entries()) {
    sums[cluster]! += first[i]! - second[i]!;
    counts[cluster]!++;
  }
  return { sums, counts };
}

function total(numbers: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < numbers.length; i++) sum += numbers[i]!;
  return sum;
}

function requireAlike(a: RankingResult, b: RankingResult): void {
  const differences = protocolDifferences(a.protocol, b.protocol);
  if (differences.length === 0) return;
  throw new UsageError(
    `${a.ranker} and ${b.ranker} do not compare, their protocols differ: ${differences.join("; ")}`,
  );
}

function requireWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new UsageError(
    `comparePaired: ${name} must be a whole number from ${least} to ${most}, got ${value}`,
  );
}
