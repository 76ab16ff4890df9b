/** The dual encoder on invented data, through the loader. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type { LoaderOptions } from "../../src/data/index.js";
import {
  AdamW,
  CheckpointError,
  memory,
  openSafetensors,
  rand,
  saveSafetensors,
  seed,
  tensor,
  tidy,
  UsageError,
  valueAndGrad,
} from "../../src/index.js";
import { DualEncoder, type DualOptions, type TrainingData } from "../../src/models/index.js";
import {
  data,
  fewWindows,
  itemsOf,
  loaderFor,
  rowsOf,
  scoresOf,
  trainingData,
  windows,
} from "./dual-data.js";

seed(3);
rand([1]).dispose(); // the default generator keeps a tensor

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

const tiny = { layers: 1, width: 8, heads: 2, dropout: 0 };
const furthest = (a: Float32Array, b: Float32Array): number =>
  a.length === b.length
    ? a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0)
    : Infinity;

/** Cross-entropy of scores with labels, as a mean over all labels. */
const lossOf = (scores: readonly number[][], labels: readonly (readonly number[])[]): number => {
  const sums = scores.map((row, i) => {
    const all = Math.log(row.reduce((sum, score) => sum + Math.exp(score), 0));
    return labels[i]!.reduce((sum, label) => sum + (all - row[label]!) / labels[i]!.length, 0);
  });
  return sums.reduce((sum, loss) => sum + loss, 0) / scores.length;
};

for (const outputs of [1, 3]) {
  test.serial(`${outputs} outputs: padding, neighbours and layout change nothing`, async (t) => {
    using encoder = new DualEncoder(data, { ...tiny, outputs }, trainingData);
    t.is(encoder.embeddingsPerUser, outputs);
    const ways: LoaderOptions[] = [
      { batchSize: 1, layout: "ragged" },
      { batchSize: 1, layout: "padded" },
      { batchSize: 7, layout: "ragged" },
      { batchSize: 64, layout: "padded" },
    ];
    const alone = await rowsOf(encoder, ways[0]!, (batch) => encoder.embed(batch));
    t.is(alone.length, windows.count * outputs * 8);
    const totals: number[] = [];
    for (const way of ways) {
      t.true(furthest(alone, await rowsOf(encoder, way, (batch) => encoder.embed(batch))) < 1e-5);
      const sums = await rowsOf(encoder, way, (batch) =>
        encoder.loss(batch).loss.multiply(batch.size),
      );
      totals.push(sums.reduce((sum, loss) => sum + loss, 0));
    }
    for (const total of totals) t.true(Math.abs(total / totals[0]! - 1) < 1e-6, `${totals}`);
  });

  test.serial(`${outputs} outputs: query and table make the scores of the loss`, async (t) => {
    using encoder = new DualEncoder(
      data,
      { ...tiny, outputs, normalize: outputs === 3 },
      trainingData,
    );
    for await (const batch of loaderFor(encoder, { batchSize: 40 })) {
      const query = tidy(() => encoder.query(batch));
      t.deepEqual(query.shape, outputs === 1 ? [batch.size, 8] : [batch.size, outputs, 8]);
      query.dispose();
      const { loss, parts, count } = tidy(() => encoder.loss(batch));
      const items = itemsOf(batch).map((item) => [item]);
      const expected = lossOf(await scoresOf(encoder, batch), items);
      t.true(Math.abs((await loss.item()) - expected) < 1e-5 * expected);
      t.is(parts.item, loss);
      t.is(count, batch.size);
      loss.dispose();
    }
  });
}

const allItems = Array.from({ length: data.features[0]!.size }, (_, item) => item);
for (const softmax of ["full", "in-batch"] as const)
  for (const outputs of [1, 3])
    test.serial(`${softmax}, ${outputs} outputs: a tiny set is learned by heart`, async (t) => {
      const options = { ...tiny, width: 16, outputs, softmax };
      using encoder = new DualEncoder(data, options, trainingData);
      using optimizer = new AdamW(encoder.trainable(), { learningRate: 1e-2 });
      const all = { batchSize: fewWindows.count, layout: "ragged" } as const;
      for await (const batch of loaderFor(encoder, { ...all, epochs: 60 }, fewWindows))
        tidy(() => {
          const { gradients } = valueAndGrad(encoder.trainable(), () => encoder.loss(batch).loss);
          optimizer.step(gradients);
        });
      encoder.eval();
      for await (const batch of loaderFor(encoder, all, fewWindows)) {
        const items = itemsOf(batch);
        // What is never a label in a batch is never a negative either.
        const rivals = softmax === "full" ? allItems : new Set(items);
        for (const [i, scores] of (await scoresOf(encoder, batch)).entries())
          for (const rival of rivals)
            if (rival !== items[i]) t.true(scores[rival]! < scores[items[i]!]!, `window ${i}`);
      }
    });

test.serial("towers read the features that they are given", async (t) => {
  const options = { ...tiny, userFeatures: ["tags", "rating"], labelFeatures: ["genres"] };
  using encoder = new DualEncoder(data, options, trainingData);
  t.deepEqual(
    encoder.features.map(({ name }) => name),
    ["item", "rating", "tags", "genres"],
  );
  t.deepEqual([...encoder.user.towers.keys()], ["tags", "rating"]);
  t.is(encoder.labels.ids, undefined);
  // Items of the same genres are the same.
  const { offsets, values } = trainingData.itemValues.genres as {
    offsets: Int32Array;
    values: Int32Array;
  };
  const rows = await tableOf(encoder);
  const genres = rows.map((_, item) =>
    [...values.subarray(offsets[item], offsets[item + 1])].sort().join(),
  );
  for (const [a, row] of rows.entries())
    for (const [b, other] of rows.entries())
      t.is(furthest(row, other) < 1e-6, genres[a] === genres[b], `${a} and ${b}`);
});

test.serial("towers share the item's table unless told otherwise", (t) => {
  using tied = new DualEncoder(data, tiny, trainingData);
  using apart = new DualEncoder(data, { ...tiny, tieItems: false }, trainingData);
  t.is(tied.labels.ids?.weight, tied.user.towers.get("item")!.table.weight);
  t.is(apart.parameterCount - tied.parameterCount, data.features[0]!.size * 8);
  t.true(tied.stateDict().has("user.towers.item.table.weight"));
  t.false(tied.stateDict().has("labels.ids.weight"));
});

test.serial("a saved encoder is whole without the training data", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, "model.safetensors");
  const options: DualOptions = { ...tiny, outputs: 2, softmax: "in-batch" };
  using encoder = new DualEncoder(data, options, trainingData);
  await saveSafetensors(path, encoder.stateDict());

  using loaded = new DualEncoder(data, options);
  const file = await openSafetensors(path);
  const state = await file.readAll();
  await file.close();
  loaded.loadStateDict(state);
  for (const value of state.values()) value.dispose();

  t.deepEqual(await tableOf(loaded), await tableOf(encoder));
  for (const run of ["query", "embed"] as const)
    t.deepEqual(
      await rowsOf(loaded, { batchSize: 9 }, (batch) => loaded[run](batch)),
      await rowsOf(encoder, { batchSize: 9 }, (batch) => encoder[run](batch)),
    );
  for await (const batch of loaderFor(loaded, { batchSize: 3 })) {
    t.throws(() => loaded.loss(batch), {
      instanceOf: UsageError,
      message: /^DualEncoder: training needs the training data/,
    });
    loaded.eval();
    t.notThrows(() => tidy(() => void loaded.loss(batch)));
    break;
  }
  using other = new DualEncoder({ ...data, length: 9 }, options);
  t.throws(() => other.loadStateDict(encoder.stateDict()), { instanceOf: CheckpointError });
});

test.serial("a feature is predicted in place of the item", async (t) => {
  const { offsets, values } = trainingData.itemValues.genres as {
    offsets: Int32Array;
    values: Int32Array;
  };
  const brands = trainingData.itemValues.brand as Int32Array;
  const valuesOf: Readonly<Record<string, (item: number) => number[]>> = {
    brand: (item) => [brands[item]!].filter((brand) => brand >= 0),
    genres: (item) => [...values.subarray(offsets[item], offsets[item + 1])],
  };
  for (const [label, ofItem] of Object.entries(valuesOf))
    for (const outputs of [1, 2]) {
      using encoder = new DualEncoder(data, { ...tiny, label, outputs }, trainingData);
      t.is(encoder.label.name, label);
      t.throws(() => encoder.itemTable(), { message: /labelTable/ });
      for await (const batch of loaderFor(encoder, { batchSize: 40, layout: "ragged" })) {
        const { loss, parts } = tidy(() => encoder.loss(batch));
        t.deepEqual(Object.keys(parts), [label]);
        const expected = lossOf(await scoresOf(encoder, batch), itemsOf(batch).map(ofItem));
        t.true(Math.abs((await loss.item()) - expected) < 1e-5 * expected, label);
        loss.dispose();
      }
    }
});

test.serial("labels from elsewhere take the place of the next event's", async (t) => {
  using encoder = new DualEncoder(data, { ...tiny, label: "genres" }, trainingData);
  for await (const batch of loaderFor(encoder, { batchSize: 4 })) {
    const labels = [5, -100, 0, 5];
    using ids = tensor(Int32Array.from(labels));
    const { loss } = tidy(() => encoder.loss(batch, ids));
    const expected = lossOf(
      await scoresOf(encoder, batch),
      labels.map((label) => [label].filter((id) => id >= 0)),
    );
    t.true(Math.abs((await loss.item()) - expected) < 1e-5);
    loss.dispose();
    break;
  }
});

test.serial("shares of features are counted over the items that have them", async (t) => {
  using encoder = new DualEncoder(
    data,
    { ...tiny, label: "brand", softmax: "in-batch" },
    trainingData,
  );
  for await (const batch of loaderFor(encoder, { batchSize: 40 })) {
    const brands = trainingData.itemValues.brand as Int32Array;
    const counts = new Float64Array(7);
    trainingData.itemTargets.forEach((targets, item) => {
      if (brands[item]! >= 0) counts[brands[item]!]! += targets;
    });
    const total = counts.reduce((sum, count) => sum + count, 0);
    const labels = itemsOf(batch).map((item) => brands[item]!);
    const scores = await scoresOf(encoder, batch);
    let expected = 0;
    labels.forEach((label, i) => {
      if (label < 0) return;
      const corrected = (other: number): number =>
        scores[i]![other]! - Math.log(Math.max(1, counts[other]!) / total);
      const others = labels.filter((other) => other >= 0 && other !== label).map(corrected);
      const own = corrected(label);
      expected += Math.log([own, ...others].reduce((sum, score) => sum + Math.exp(score - own), 0));
    });
    const { loss } = tidy(() => encoder.loss(batch));
    t.true(Math.abs((await loss.item()) - expected / batch.size) < 1e-5);
    loss.dispose();
  }
});

test.serial("a catalogue larger than a block has the same rows as alone", async (t) => {
  const size = 16_384 + 5;
  const item = { ...data.features[0]!, size };
  using encoder = new DualEncoder({ features: [item], length: 3 }, { ...tiny, normalize: true });
  const { weight } = encoder.itemTable();
  t.deepEqual(weight.shape, [size, 8]);
  const ids = [0, 16_383, 16_384, size - 1];
  const rows = await weight.dataAs("float32");
  weight.dispose();
  const alone = tidy(() => {
    const raw = encoder.labels.forward(tensor(Int32Array.from(ids)));
    return raw.divide(raw.square().sum(1, { keepDims: true }).sqrt());
  });
  const expected = await alone.dataAs("float32");
  alone.dispose();
  const found = ids.flatMap((id) => [...rows.subarray(8 * id, 8 * id + 8)]);
  t.true(furthest(Float32Array.from(found), expected) < 1e-6);
});

test.serial("bfloat16 products change little", async (t) => {
  using encoder = new DualEncoder(data, tiny, trainingData);
  using rounded = new DualEncoder(data, { ...tiny, precision: "bfloat16" }, trainingData);
  rounded.loadStateDict(encoder.stateDict());
  const way = { batchSize: 16 };
  const losses = await rowsOf(encoder, way, (batch) => encoder.loss(batch).loss);
  const others = await rowsOf(rounded, way, (batch) => rounded.loss(batch).loss);
  const difference = furthest(losses, others);
  t.true(difference > 0 && difference < 0.1, `${difference}`);
  const { weight, precision } = rounded.itemTable();
  weight.dispose();
  t.is(precision, "bfloat16");
});

const wrong: readonly [string, DualOptions, Partial<TrainingData>?][] = [
  ["layers must be a whole number from 0 on, got 1.5", { layers: 1.5 }],
  ["outputs must be a whole number from 1 on, got 0", { outputs: 0 }],
  ["heads 3 must divide width 8", { heads: 3 }],
  ["temperature must be above 0, got 0", { temperature: 0 }],
  [
    'userFeatures: there is no feature "colour"; there are item, rating, tags, brand, genres',
    { userFeatures: ["colour"] },
  ],
  ["userFeatures must not be empty", { userFeatures: [] }],
  ['label: there is no feature "colour"', { label: "colour" }],
  ["labelFeatures: rating is not known of an item before the event", { labelFeatures: ["rating"] }],
  [
    "labelFeatures: item is not known of genres before the event",
    { label: "genres", labelFeatures: ["item"] },
  ],
  ["featureWidths: colour is not a feature", { featureWidths: { colour: 8 } }],
  [
    "featureWidths: rating must be a multiple of a head's width, 4, got 6",
    { featureWidths: { rating: 6 } },
  ],
  ["tieItems needs both towers to read the item", { tieItems: true, userFeatures: ["rating"] }],
  ['softmax must be "auto", "full" or "in-batch", got "all"', { softmax: "all" as "full" }],
  ["the training data has no values of brand", {}, { itemValues: {} }],
  ["nothing says how often each rating is a target", { label: "rating", softmax: "in-batch" }],
  [
    "the training data counts the targets of 2 items, not of 23",
    { softmax: "in-batch" },
    { itemTargets: new Float64Array(2) },
  ],
  [
    "the training data has values of brand for 2 items, not for 23",
    {},
    { itemValues: { ...trainingData.itemValues, brand: new Int32Array(2) } },
  ],
  [
    "the values of genres must be bags",
    {},
    { itemValues: { ...trainingData.itemValues, genres: new Int32Array(23) } },
  ],
];

for (const [message, options, training] of wrong)
  test.serial(`refused: ${message}`, (t) => {
    const given = { ...trainingData, ...training };
    const error = t.throws(() => new DualEncoder(data, { ...tiny, ...options }, given), {
      instanceOf: UsageError,
    });
    t.true(error.message.startsWith(`DualEncoder: ${message}`), error.message);
  });

test.serial("bags of items need to say how long they are, and are not longer", (t) => {
  const saying = (longest: number | undefined) => ({
    ...data,
    features: data.features.map((feature) =>
      feature.name === "genres" ? { ...feature, longest } : feature,
    ),
  });
  t.throws(() => new DualEncoder(saying(undefined), tiny), {
    instanceOf: UsageError,
    message: /the label tower reads genres; its "longest" must say/,
  });
  t.throws(() => new DualEncoder(saying(2), tiny, trainingData), {
    instanceOf: UsageError,
    message: /item \d+ has \d+ values of genres, more than its "longest" 2/,
  });
  using elsewhere = new DualEncoder(saying(undefined), { ...tiny, labelFeatures: ["item"] });
  t.is(elsewhere.labels.features.size, 0);
});

test.serial("a batch must have the targets that are predicted", async (t) => {
  using full = new DualEncoder(data, tiny, trainingData);
  using bags = new DualEncoder(
    data,
    { ...tiny, label: "genres", softmax: "in-batch" },
    trainingData,
  );
  for await (const batch of loaderFor(full, { batchSize: 4, targets: false })) {
    t.throws(() => full.loss(batch), { message: "DualEncoder: the batch has no targets of item" });
    break;
  }
  for await (const batch of loaderFor(full, { batchSize: 4 })) {
    t.throws(() => bags.loss(batch), {
      message: 'DualEncoder: genres has several values for an event, which takes softmax "full"',
    });
    break;
  }
});

async function tableOf(encoder: DualEncoder): Promise<Float32Array[]> {
  const { weight } = encoder.labelTable();
  const rows = await weight.dataAs("float32");
  const [count, width] = weight.shape as [number, number];
  weight.dispose();
  return Array.from({ length: count }, (_, row) => rows.slice(row * width, (row + 1) * width));
}
