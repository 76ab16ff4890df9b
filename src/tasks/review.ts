import type { Feature, PreparedData } from "../data/index.js";
import { forRowBlocks } from "../data/prepared/row-blocks.js";
import { DataError, UsageError } from "../errors.js";
import { examplesOf } from "./examples.js";
import { itemText } from "./item-texts.js";
import { Selection } from "./selection.js";
import type { Task, TaskCard } from "./task.js";
import { eventValues, firstValue } from "./values.js";

/** What {@link review} asks for, and what it tells. */
export interface ReviewOptions {
  /** The texts of events to write: `review`, `summary`. */
  feature: string;
  /** Feature of events whose number the instruction tells; `false` for none. Default: `rating`, where the data has it. */
  rating?: string | false | undefined;
  /** Feature whose first value the instruction tells; `false` for none. Default: `category`, where the data has it. */
  category?: string | false | undefined;
}

/** The decisions and counts of {@link review}. */
export interface ReviewCard extends TaskCard {
  /** The texts that are to be written. */
  readonly feature: string;
}

/**
 * Writes the user's text about an item, from the item's name, its primary category and the user's rating:
 *
 *     Help me write a review for Blue (Seafood restaurant) with a rating of 5.0.
 *
 * Events without a text give no example. Making the examples throws a `UsageError` when a feature is not there or of another
 * kind, and a `DataError` when no target has a text.
 */
export function review({ feature, rating, category }: ReviewOptions): Task<ReviewCard> {
  return {
    name: "review",
    async examples(data, windows, options = {}) {
      const texts = data.feature(feature);
      if (texts.kind !== "text" || texts.of !== "event") {
        throw new UsageError(
          `review: "${feature}" is a ${texts.kind} of ${texts.of}s, expected a text of events`,
        );
      }
      const ratings = told(data, "rating", rating, ["ordinal"]);
      const categories = told(data, "category", category, ["bag", "categorical"]);
      const items = data.column("item");

      const selection = new Selection(windows.count);
      await forRowBlocks(
        windows.count,
        `looking for a ${feature}`,
        options,
        (from, to) => {
          let index = from;
          for (const { target } of windows.range(from, to)) {
            if (data.text(feature, target).trim() !== "") selection.add(index);
            index++;
          }
        },
        1 << 14,
      );

      if (selection.count === 0) {
        throw new DataError(`${data.folder}: no target event of the windows has a "${feature}"`);
      }
      const ratingOf = ratings && ratingReader(data, ratings);
      const categoryOf = categories && categoryReader(data, categories);
      const instructionOf = (target: number): string => {
        const name = itemText(data, items[target]!);
        const kind = categoryOf?.(target);
        const stars = ratingOf?.(target);
        const subject = kind === undefined ? name : `${name} (${kind})`;
        const how = stars === undefined ? "" : ` with a rating of ${stars}`;
        return `Help me write a review for ${subject}${how}.`;
      };
      return examplesOf({
        windows,
        selection,
        card: {
          task: "review",
          examples: selection.count,
          windowsLeftOut: windows.count - selection.count,
          inputFeatures: data.features.map(({ name }) => name),
          toldFeatures: [categories, ratings].flatMap((found) => (found ? [found.name] : [])),
          feature,
        },
        read: (window) => ({
          ...window,
          instruction: instructionOf(window.target),
          answer: data.text(feature, window.target),
          choice: -1,
          accepted: [],
        }),
      });
    },
  };
}

/** The feature that an option means; a default that the data does not have is none. */
function told(
  data: PreparedData,
  option: "rating" | "category",
  name: string | false | undefined,
  kinds: readonly Feature["kind"][],
): Feature | undefined {
  if (name === false) return undefined;
  if (name === undefined) {
    return data.features.find((feature) => feature.name === option && kinds.includes(feature.kind));
  }
  const feature = data.feature(name);
  if (kinds.includes(feature.kind)) return feature;
  throw new UsageError(
    `review: ${option} "${name}" is a ${feature.kind}, expected ${kinds.join(" or ")}`,
  );
}

function ratingReader(data: PreparedData, feature: Feature): (row: number) => string | undefined {
  const numbers = data.vocabulary(feature.name);
  const values = eventValues(data, feature);
  return (row) => {
    const index = firstValue(values, row);
    if (index === undefined) return undefined;
    const rating = Number(numbers[index]);
    return Number.isInteger(rating) ? rating.toFixed(1) : String(rating);
  };
}

/** The primary category is the first that the source names. */
function categoryReader(data: PreparedData, feature: Feature): (row: number) => string | undefined {
  const names = data.vocabulary(feature.name);
  const values = eventValues(data, feature);
  return (row) => {
    const index = firstValue(values, row);
    return index === undefined ? undefined : String(names[index]);
  };
}
