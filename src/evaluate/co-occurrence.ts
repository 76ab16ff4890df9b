import type { PreparedData, Windows } from "../data/index.js";
import { UsageError } from "../errors.js";
import type { LongCall } from "../progress.js";
import { type Followers, findFollowers } from "./followers.js";
import { trainingEvents } from "./most-popular.js";
import type { Recommender } from "./ranker.js";
import { scoreRanker } from "./score-ranker.js";

/** How {@link coOccurrence} counts and scores. The defaults were chosen on validation of MovieLens latest-small and 1M. */
export interface CoOccurrenceOptions extends LongCall {
  /** How many events after another one an event still follows it, 1 to 1,000. Default: 5. */
  window?: number | undefined;
  /** How fast events of a history lose weight: the `n`-th last has `n^-recency`; 0 to 10. Default: 1. */
  recency?: number | undefined;
  /** Events of a history that score, the last ones. Default: 50. */
  length?: number | undefined;
  /** How much popular followers are held back: 0 not at all, 0.5 as in a cosine; at most 1. Default: 0.3. */
  damping?: number | undefined;
  /** Followers that are kept of each item, the strongest. Bounds the memory: 8 bytes each. Default: 500. */
  followers?: number | undefined;
}

/** Orders the items that no event of a history leads to, far below the others. */
const popularityWeight = 1e-12;

/**
 * Ranks items by how often they followed the items of the history in training: the strongest of simple recommenders, and
 * what a trained one must beat.
 *
 *     score(j)       = Σ n(i)^-recency · strength(i, j)        over the last events i of the history
 *     strength(i, j) = following(i, j) / (√events(i) · events(j)^damping)
 *
 * `following` counts how often `j` was among the next `window` events of a user after `i`; the last event of the history
 * has n = 1. Items that nothing of the history leads to come last, by popularity.
 *
 * Memory is 8 bytes for each pair that is kept and 6 for each training event while counting; there is no matrix.
 *
 * @param train whose inputs and targets count
 * @throws UsageError for an option that is out of range
 * @see Sarwar et al., "Item-based collaborative filtering recommendation algorithms", WWW 2001
 * @see Ludewig and Jannach, "Evaluation of session-based recommendation algorithms", UMUAI 28, 2018
 */
export async function coOccurrence(
  data: PreparedData,
  train: Windows,
  options: CoOccurrenceOptions = {},
): Promise<Recommender> {
  const { window = 5, recency = 1, length = 50, damping = 0.3, followers: kept = 500 } = options;
  const { signal, onProgress } = options;
  requireRange("window", window, Number.isInteger(window) && window >= 1 && window <= 1000);
  requireRange("recency", recency, recency >= 0 && recency <= 10);
  requireRange("length", length, Number.isInteger(length) && length >= 1);
  requireRange("damping", damping, damping >= 0 && damping <= 1);
  requireRange("followers", kept, Number.isInteger(kept) && kept >= 1);

  const events = await trainingEvents(data, train, { signal, onProgress });
  const roots = events.map(Math.sqrt);
  const powers = events.map((count) => count ** damping);
  const strength = (count: number, i: number, j: number): number =>
    count / (roots[i]! * powers[j]!);
  const found = await findFollowers(data, train, {
    ...{ window, kept, events, strength, signal, onProgress },
  });
  const most = events.reduce((most, count) => Math.max(most, count), 1);
  const base = events.map((count) => (popularityWeight * count) / most);
  const scores = new Float64Array(data.items);
  return scoreRanker({
    name: "co-occurrence",
    items: data.items,
    scores(history) {
      scores.set(base);
      addFollowers(scores, history.subarray(-length), found, recency);
      return scores;
    },
  });
}

function addFollowers(
  scores: Float64Array,
  history: Int32Array,
  { offsets, items, strengths }: Followers,
  recency: number,
): void {
  for (const [at, item] of history.entries()) {
    const weight = (history.length - at) ** -recency;
    for (let i = offsets[item]!; i < offsets[item + 1]!; i++)
      scores[items[i]!]! += weight * strengths[i]!;
  }
}

function requireRange(name: string, value: number, holds: boolean): void {
  if (!holds) throw new UsageError(`coOccurrence: ${name} is out of range, got ${value}`);
}
