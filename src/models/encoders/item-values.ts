import { UsageError } from "../../errors.js";
import type { EncoderFeature, TrainingData } from "./encoder.js";

type Given = TrainingData["itemValues"][string];

/** The values of a feature of items, in as many places for each item. */
export interface ItemValues {
  /** `[items, longest]`: an item's values, then the feature's size. */
  readonly values: Int32Array;
  readonly longest: number;
}

/**
 * Lays the values of all items side by side, of each feature; without training data places for those that a state brings.
 *
 * @throws UsageError when the training data does not fit the features, or a bag has no {@link EncoderFeature.longest}
 */
export function itemValuesOf(
  features: readonly EncoderFeature[],
  items: number,
  given?: TrainingData["itemValues"],
): ReadonlyMap<string, ItemValues> {
  return new Map(
    features.map((feature) => {
      const { name, bag, size } = feature;
      const longest = bag ? feature.longest : 1;
      if (longest === undefined)
        throw new UsageError(
          `DualEncoder: the label tower reads ${name}; its "longest" must say how many values an item has at most`,
        );
      const places = Math.max(1, longest);
      const values = new Int32Array(items * places).fill(size);
      if (given) write(values, places, name, checked(feature, items, given[name]));
      return [name, { values, longest: places }];
    }),
  );
}

function checked({ name, bag }: EncoderFeature, items: number, given: Given | undefined): Given {
  if (!given) throw new UsageError(`DualEncoder: the training data has no values of ${name}`);
  if (bag !== "offsets" in given)
    throw new UsageError(`DualEncoder: the values of ${name} must ${bag ? "" : "not "}be bags`);
  const count = "offsets" in given ? given.offsets.length - 1 : given.length;
  if (count !== items)
    throw new UsageError(
      `DualEncoder: the training data has values of ${name} for ${count} items, not for ${items}`,
    );
  return given;
}

function write(into: Int32Array, places: number, name: string, given: Given): void {
  if (!("offsets" in given)) {
    given.forEach((value, item) => {
      if (value >= 0) into[item] = value;
    });
    return;
  }
  const { offsets, values } = given;
  for (let item = 0; item + 1 < offsets.length; item++) {
    const bag = values.subarray(offsets[item]!, offsets[item + 1]!);
    if (bag.length > places)
      throw new UsageError(
        `DualEncoder: item ${item} has ${bag.length} values of ${name}, more than its "longest" ${places}`,
      );
    into.set(bag, item * places);
  }
}
