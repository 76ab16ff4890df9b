import { UsageError } from "../../errors.js";
import { ratingLevels, type SyntheticModel } from "./model.js";
import { ranking } from "./ranking-scores.js";
import { TasteFilter } from "./taste-filter.js";

/** An event as the oracle reads it. */
export interface RatedItem {
  /** Index of the item: its row in the items table, its id less 1. */
  readonly item: number;
  /** 0.5 to 5 in halves. */
  readonly rating: number;
}

/**
 * The probability of every item to be a user's next, given all items and ratings so far: the exact posterior of the
 * process that made the data. No model can expect a higher Recall@K or NDCG@K than the ranking by these numbers.
 *
 * @returns `[items]`, adding up to 1; 0 for the items of the history, as nothing comes twice
 * @throws UsageError for an item that is not in the catalogue or comes twice, or a rating that is none
 */
export function bayesProbabilities(
  model: SyntheticModel,
  history: Iterable<RatedItem>,
): Float64Array {
  const filter = new TasteFilter(model);
  const seen = new Set<number>();
  for (const { item, rating } of history) {
    if (!(Number.isInteger(item) && item >= 0 && item < model.catalogue.items) || seen.has(item))
      throw new UsageError(
        `bayesProbabilities: items must be whole numbers below ${model.catalogue.items}, each at most once, got ${item}`,
      );
    const level = 2 * rating - 1;
    if (!(Number.isInteger(level) && level >= 0 && level < ratingLevels))
      throw new UsageError(`bayesProbabilities: ratings must be 0.5, 1, ..., 5, got ${rating}`);
    seen.add(item);
    filter.observe(item, level);
  }
  return filter.predict();
}

/** Items from the most to the least probable next one; equal ones by index. `[items]` */
export function bayesRanking(model: SyntheticModel, history: Iterable<RatedItem>): Int32Array {
  return ranking(bayesProbabilities(model, history));
}
