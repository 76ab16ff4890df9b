import test from "ava";
import { PreparedData, split, Windows } from "../../src/data/index.js";
import { UsageError } from "../../src/errors.js";
import { encoderDataOf, trainingDataOf } from "../../src/recipes/encoder-data.js";
import { preparedFolder } from "../data/prepared/prepared-folder.js";

const content = {
  histories: [[0, 1, 2, 1], [2, 2, 0], [3]],
  features: [
    {
      name: "rating",
      kind: "ordinal" as const,
      of: "event" as const,
      values: [1, 2],
      rows: [0, 1, 0, -1, 1, 0, 0, 1],
    },
    {
      name: "genres",
      kind: "bag" as const,
      of: "item" as const,
      values: ["a", "b"],
      rows: [[0], [], [0, 1], [1]],
    },
    {
      name: "brand",
      kind: "categorical" as const,
      of: "item" as const,
      values: ["x"],
      rows: [0, -1, 0, 0],
    },
    { name: "review", kind: "text" as const, of: "event" as const, rows: Array(8).fill("") },
  ],
};

test("the item comes first, then the features that are asked for, or all but texts", async (t) => {
  using data = await PreparedData.open(await preparedFolder(t, content));
  const item = { name: "item", bag: false, size: 4, of: "event" };
  const rating = { name: "rating", bag: false, size: 2, of: "event" };
  const genres = { name: "genres", bag: true, size: 2, of: "item", longest: 2 };
  const brand = { name: "brand", bag: false, size: 1, of: "item" };
  t.deepEqual(encoderDataOf(data, 5), { features: [item, rating, genres, brand], length: 5 });
  t.deepEqual(encoderDataOf(data, 5, []).features, [item]);
  t.deepEqual(encoderDataOf(data, 5, ["brand", "item", "rating", "brand"]).features, [
    item,
    brand,
    rating,
  ]);
  for (const name of ["review", "colour"])
    t.throws(() => encoderDataOf(data, 5, [name]), {
      instanceOf: UsageError,
      message: `no feature "${name}" that an encoder reads; there are item, rating, genres, brand`,
    });
});

test("targets of the training windows are counted", async (t) => {
  using data = await PreparedData.open(await preparedFolder(t, content));
  const starts = data.userOffsets;
  const cumulative = Float64Array.of(0, 2, 3, 3);
  const train = new Windows({ length: 2, starts, first: Float64Array.of(1, 5, 7), cumulative });
  const { itemTargets, itemValues } = await trainingDataOf(data, train);
  t.deepEqual([...itemTargets], [0, 1, 2, 0]);
  t.deepEqual(Object.keys(itemValues), ["genres", "brand"]);
  t.is(itemValues.brand, data.itemColumn("brand"));
  const strided = new Windows({ ...train, starts, cumulative, stride: 2 });
  t.deepEqual([...(await trainingDataOf(data, strided)).itemTargets], [0, 2, 2, 0]);
});

test("every training target of a split is counted once", async (t) => {
  using data = await PreparedData.open(await preparedFolder(t, content));
  const { train } = await split(data, { windows: "padded", length: 2, minHistory: 3 });
  const { itemTargets } = await trainingDataOf(data, train);
  t.is(
    itemTargets.reduce((sum, count) => sum + count, 0),
    train.count,
  );
});
