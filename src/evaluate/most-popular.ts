import type { PreparedData, Windows } from "../data/index.js";
import type { LongCall } from "../progress.js";
import type { Recommender } from "./ranker.js";
import { scoreRanker } from "./score-ranker.js";
import { forTrainingSpans } from "./training-spans.js";

/**
 * Ranks items by how many training events they have, the same for everybody: the least that a recommender must beat.
 *
 * @param train whose inputs and targets count
 */
export async function mostPopular(
  data: PreparedData,
  train: Windows,
  options: LongCall = {},
): Promise<Recommender> {
  const events = await trainingEvents(data, train, options);
  return scoreRanker({ name: "most popular", items: data.items, scores: () => events });
}

/** How many training events each item has: `[items]`. */
export async function trainingEvents(
  data: PreparedData,
  train: Windows,
  options: LongCall,
): Promise<Float64Array> {
  const items = data.column("item");
  const events = new Float64Array(data.items);
  await forTrainingSpans(data, train, "counting popularity", options, (from, to) => {
    for (let row = from; row < to; row++) events[items[row]!]!++;
  });
  return events;
}
