import type { LongCall } from "../progress.js";
import { metricNames, RankCounts } from "./metrics.js";
import type { Estimate, Measurement, RankedWindows, RankingResult } from "./ranking-result.js";
import { percentileInterval, resampleUsers } from "./resample.js";

/** What {@link measure} is told. */
export interface MeasureOptions extends LongCall {
  ks: readonly number[];
  /** 0 for no intervals. */
  resamples: number;
  seed: number;
}

/** The four tables of a result: with all windows and without cold ones, unmasked and masked. */
export async function measure(
  windows: RankedWindows,
  { ks, resamples, seed, ...longCall }: MeasureOptions,
): Promise<RankingResult["metrics"]> {
  const tables = new Tables(windows, ks);
  const means = tables.means();
  const drawn = means.map((numbers) => numbers?.map(() => new Float64Array(resamples)));
  // Without cold windows a resample may be empty.
  const counts = means.map(() => 0);
  if (resamples > 0) {
    const effort = 4 * windows.users.length + tables.largest;
    const { clusters } = tables;
    await resampleUsers(clusters, { resamples, seed, effort }, longCall, (times) => {
      for (const [table, numbers] of tables.means(times).entries()) {
        if (!numbers) continue;
        const at = counts[table]!++;
        for (const [i, number] of numbers.entries()) drawn[table]![i]![at] = number;
      }
    });
  }
  const estimates = means.map((numbers, table): Measurement["masked"] | null => {
    if (!numbers) return null;
    const entries = metricNames(ks).map((name, i): [string, Estimate] => {
      const interval = percentileInterval(drawn[table]![i]!.subarray(0, counts[table]));
      return [name, { mean: numbers[i]!, interval: interval ?? null }];
    });
    return Object.fromEntries(entries);
  });
  const [unmasked, masked, warmUnmasked, warmMasked] = estimates;
  return {
    all: { unmasked: unmasked!, masked: masked! },
    withoutCold: warmUnmasked ? { unmasked: warmUnmasked, masked: warmMasked! } : null,
  };
}

/** Numbers users from 0 in the order of their windows: of each window its user's number. */
export function clustersOf(users: readonly number[]): Int32Array {
  const clusters = new Int32Array(users.length);
  for (let i = 1; i < users.length; i++)
    clusters[i] = clusters[i - 1]! + (users[i] === users[i - 1] ? 0 : 1);
  return clusters;
}

class Tables {
  readonly clusters: number;
  readonly largest: number;
  readonly #unmasked: Int32Array;
  readonly #masked: Int32Array;
  readonly #cold: Uint8Array;
  readonly #cluster: Int32Array;
  readonly #counts: readonly RankCounts[];

  constructor({ users, unmasked, masked, cold }: RankedWindows, ks: readonly number[]) {
    this.#unmasked = Int32Array.from(unmasked);
    this.#masked = Int32Array.from(masked);
    this.#cold = Uint8Array.from(cold);
    this.#cluster = clustersOf(users);
    this.clusters = users.length === 0 ? 0 : this.#cluster.at(-1)! + 1;
    this.#counts = Array.from({ length: 4 }, () => new RankCounts(ks, this.#mostOf()));
    this.largest = this.#counts[0]!.largest;
  }

  /** Means of all metrics: unmasked, masked, and both without cold windows. */
  means(times?: Uint32Array): (number[] | undefined)[] {
    const [unmasked, masked, warmUnmasked, warmMasked] = this.#counts as [
      RankCounts,
      RankCounts,
      RankCounts,
      RankCounts,
    ];
    for (const counts of this.#counts) counts.clear();
    for (let i = 0; i < this.#cold.length; i++) {
      const weight = times ? times[this.#cluster[i]!]! : 1;
      if (weight === 0) continue;
      unmasked.add(this.#unmasked[i]!, weight);
      masked.add(this.#masked[i]!, weight);
      if (this.#cold[i] === 1) continue;
      warmUnmasked.add(this.#unmasked[i]!, weight);
      warmMasked.add(this.#masked[i]!, weight);
    }
    return this.#counts.map((counts) => counts.means());
  }

  #mostOf(): number {
    let most = 1;
    for (const rank of this.#unmasked) if (rank > most) most = rank;
    return most;
  }
}
