import type { Feature, LoaderData, PreparedData, Windows } from "../data/index.js";
import { forRowBlocks } from "../data/prepared/row-blocks.js";
import { UsageError } from "../errors.js";
import type { EncoderData, EncoderFeature, TrainingData } from "../models/index.js";
import type { LongCall } from "../progress.js";

/**
 * What an encoder is made for, on this data.
 *
 * @param length   most inputs of a window
 * @param features names, beside the item; by default all but texts
 * @throws UsageError when the data has no such feature, or a text is asked for
 */
export function encoderDataOf(
  data: Pick<LoaderData, "items" | "features">,
  length: number,
  features?: readonly string[],
): EncoderData {
  const readable = data.features.filter(({ kind }) => kind !== "text");
  const names = features ?? readable.map(({ name }) => name);
  const chosen = [...new Set(names)].filter((name) => name !== "item");
  const item: EncoderFeature = { name: "item", bag: false, size: data.items, of: "event" };
  const others = chosen.map((name): EncoderFeature => {
    const found = readable.find((feature) => feature.name === name);
    if (found) return encoderFeature(found);
    const there = ["item", ...readable.map((feature) => feature.name)].join(", ");
    throw new UsageError(`no feature "${name}" that an encoder reads; there are ${there}`);
  });
  return { features: [item, ...others], length };
}

export function encoderFeature({
  name,
  kind,
  size,
  of,
  longest,
}: Omit<Feature, "missing">): EncoderFeature {
  return kind === "bag" ? { name, bag: true, size, of, longest } : { name, bag: false, size, of };
}

/**
 * What only training knows of the data: how many events of each item are predicted, and what features items have.
 *
 * @param train the windows of training
 */
export async function trainingDataOf(
  data: PreparedData,
  train: Windows,
  options: LongCall = {},
): Promise<TrainingData> {
  const items = data.column("item");
  const itemTargets = new Float64Array(data.items);
  await forRowBlocks(train.users, "counting targets", options, (from, to) => {
    for (let user = from; user < to; user++) {
      if (train.countOf(user) === 0) continue;
      // Every input but a window's first is the target of the position before it.
      const begin = Math.max(train.starts[user]!, train.first[user]! - train.length) + 1;
      const last = train.last(user);
      for (let row = begin; row <= last; row++) itemTargets[items[row]!]!++;
    }
  });
  const ofItems = data.features.filter(({ of, kind }) => of === "item" && kind !== "text");
  const itemValues = Object.fromEntries(
    ofItems.map(({ name, kind }) => [
      name,
      kind === "bag" ? data.bag(name) : data.itemColumn(name),
    ]),
  );
  return { itemTargets, itemValues };
}
