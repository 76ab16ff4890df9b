import { UsageError } from "../../errors.js";
import type { EncoderFeature, TrainingData } from "./encoder.js";

/**
 * Which share of the training targets has each label; a label of none counts as one target. An item with several values
 * is a target of each.
 *
 * @throws UsageError for a feature of events, whose values the training data does not count
 */
export function labelShares(
  { name, size }: EncoderFeature,
  { itemTargets, itemValues }: TrainingData,
): Float64Array {
  const counts = name === "item" ? Float64Array.from(itemTargets) : new Float64Array(size);
  if (counts.length !== size)
    throw new UsageError(
      `DualEncoder: the training data counts the targets of ${counts.length} items, not of ${size}`,
    );
  if (name !== "item") {
    const values = itemValues[name];
    if (!values)
      throw new UsageError(
        `DualEncoder: nothing says how often each ${name} is a target; take softmax "full", or logQ false`,
      );
    itemTargets.forEach((targets, item) => {
      const own =
        "offsets" in values
          ? values.values.subarray(values.offsets[item], values.offsets[item + 1])
          : values.subarray(item, item + 1);
      for (const value of own) if (value >= 0) counts[value]! += targets;
    });
  }
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => Math.max(1, count) / Math.max(1, total));
}
