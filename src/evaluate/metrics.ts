import { UsageError } from "../errors.js";

/**
 * What a rank is worth, by the name of the metric; with one target a user:
 *
 *     recall@k   1 if rank ≤ k, else 0        (the hit rate HR@k)
 *     ndcg@k     1 / log₂(rank + 1) if rank ≤ k, else 0
 *     mrr        1 / rank
 */
export type MetricName = `recall@${number}` | `ndcg@${number}` | "mrr";

/** @throws UsageError for a name that is none of a metric */
export function worthOf(metric: string): (rank: number) => number {
  if (metric === "mrr") return (rank) => 1 / rank;
  const [, kind, digits] = /^(recall|ndcg)@([1-9]\d{0,8})$/.exec(metric) ?? [];
  const k = Number(digits);
  if (kind === "recall") return (rank) => (rank <= k ? 1 : 0);
  if (kind === "ndcg") return (rank) => (rank <= k ? 1 / Math.log2(rank + 1) : 0);
  throw new UsageError(
    `a metric is "mrr", "recall@k" or "ndcg@k" with k from 1, got ${JSON.stringify(metric)}`,
  );
}

/** The metrics that a table has, in its order. */
export const metricNames = (ks: readonly number[]): MetricName[] => [
  ...ks.map((k): MetricName => `recall@${k}`),
  ...ks.map((k): MetricName => `ndcg@${k}`),
  "mrr",
];

/**
 * Ranks counted by value, up to the largest k: from it follow the metrics at every k. Counts add up exactly, so that the
 * order of ranks does not matter.
 */
export class RankCounts {
  /** The largest rank that is counted apart. */
  readonly largest: number;
  readonly #ks: readonly number[];
  readonly #counts: Float64Array;
  readonly #gains: Float64Array;
  #ranks = 0;
  #reciprocals = 0;

  /** @param most of the ranks that come */
  constructor(ks: readonly number[], most: number) {
    this.#ks = ks;
    this.largest = Math.min(most, Math.max(...ks));
    this.#counts = new Float64Array(this.largest + 1);
    this.#gains = Float64Array.from(this.#counts, (_, rank) => 1 / Math.log2(rank + 1));
  }

  clear(): void {
    this.#counts.fill(0);
    this.#ranks = 0;
    this.#reciprocals = 0;
  }

  /** @param times how often the rank is there */
  add(rank: number, times = 1): void {
    if (rank <= this.largest) this.#counts[rank]! += times;
    this.#ranks += times;
    this.#reciprocals += times / rank;
  }

  /** Means of the metrics in the order of {@link metricNames}; undefined without ranks. */
  means(): number[] | undefined {
    if (this.#ranks === 0) return undefined;
    const hits = new Float64Array(this.largest + 1);
    const gains = new Float64Array(this.largest + 1);
    for (let rank = 1; rank <= this.largest; rank++) {
      hits[rank] = hits[rank - 1]! + this.#counts[rank]!;
      gains[rank] = gains[rank - 1]! + this.#counts[rank]! * this.#gains[rank]!;
    }
    const atEach = (sums: Float64Array) => this.#ks.map((k) => sums[Math.min(k, this.largest)]!);
    return [...atEach(hits), ...atEach(gains), this.#reciprocals].map((sum) => sum / this.#ranks);
  }
}
