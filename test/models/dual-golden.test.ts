/** The dual encoder equals the same towers in PyTorch, from the same weights: scripts/goldens-dual.py. */
import { fileURLToPath } from "node:url";
import test from "ava";
import type { Batch } from "../../src/data/index.js";
import {
  memory,
  openSafetensors,
  rand,
  type Tensor,
  tensor,
  tidy,
  valueAndGrad,
} from "../../src/index.js";
import { DualEncoder, type DualOptions, type EncoderData } from "../../src/models/index.js";
import { distance } from "../nn/distance.js";
import { largest } from "../nn/golden.js";

rand([1]).dispose(); // the default generator keeps a tensor

const data: EncoderData = {
  features: [
    { name: "item", bag: false, size: 7, of: "event" },
    { name: "rating", bag: false, size: 5, of: "event" },
    { name: "brand", bag: false, size: 3, of: "item" },
    { name: "genres", bag: true, size: 4, of: "item", longest: 3 },
  ],
  length: 5,
};
const ofItems = [[0, 3], [], [1], [2, 0, 1], [3], [], [1, 2]];
const genres = bagsOf(ofItems);
const trainingData = {
  itemTargets: Float64Array.of(5, 0, 2, 9, 1, 3, 4),
  itemValues: { brand: Int32Array.of(0, 2, -1, 1, 1, 0, 2), genres },
};

const histories = [[0, 3, 3, 6, 1], [2, 4, 5], [6], [1, 2, 0, 5]];
const rated = [[0, 5, 4, 2, 1], [3, 3, 5], [1], [2, 5, 0, 4]];
const labels = [3, 0, 3, 6];

const cases: Readonly<Record<string, DualOptions>> = {
  "in-batch": {
    userFeatures: ["item", "rating", "genres"],
    featureWidths: { rating: 4, brand: 4, genres: 4 },
    softmax: "in-batch",
    normalize: true,
  },
  full: {
    userFeatures: ["item"],
    labelFeatures: ["item", "genres"],
    featureWidths: { genres: 4 },
    ...{ outputs: 3, tieItems: false },
  },
};

/** Roundings of float32 in a row, which a temperature of 0.1 makes ten times larger. */
const tolerance = 2e-5;

for (const [name, options] of Object.entries(cases))
  for (const layout of ["padded", "ragged"] as const)
    test.serial(`${name}, ${layout}: embeddings, table, loss and gradients`, async (t) => {
      const before = memory().tensors;
      const golden = await goldenOf(name);
      const given = { layers: 1, width: 8, heads: 2, hiddenWidth: 12, dropout: 0, ...options };
      const encoder = new DualEncoder(data, given, trainingData);
      const parameters = under(golden, "parameter.");
      const { unexpected, missing } = encoder.loadStateDict(parameters, { strict: false });
      t.deepEqual(unexpected, []);
      t.true(missing.every((path) => /^labels\.features\.\w+\.values$/.test(path)));
      const batch = batchOf(layout);
      const { embed, table } = tidy(() => ({
        embed: encoder.embed(batch),
        table: encoder.itemTable().weight,
      }));
      t.true((await distance(embed, golden.get("embed")!)) < tolerance, "embed");
      t.true((await distance(table, golden.get("table")!)) < tolerance, "table");
      const { loss, gradients } = tidy(() =>
        valueAndGrad(encoder.trainable(), () => encoder.loss(batch).loss),
      );
      t.true((await distance(loss, golden.get("loss")!)) < tolerance, "loss");
      const theirs = under(golden, "grad.");
      const most = largest(
        Float32Array.from(
          await Promise.all(
            [...theirs.values()].map(async (g) => largest(await g.dataAs("float32"))),
          ),
        ),
      );
      for (const [path, parameter] of encoder.namedParameters()) {
        if (!parameter.trainable) continue;
        const expected = await theirs.get(path)!.dataAs("float32");
        const ours = gradients.get(parameter);
        const actual = ours ? await ours.dataAs("float32") : new Float32Array(expected.length);
        const error = largest(actual.map((value, i) => value - expected[i]!));
        t.true(error < tolerance * Math.max(largest(expected), most / 100), `${path}: ${error}`);
      }
      for (const tensor of [embed, table, loss, ...gradients.values(), ...golden.values()])
        tensor.dispose();
      dispose(batch);
      encoder.dispose();
      t.is(memory().tensors, before, "tensors leaked");
    });

async function goldenOf(name: string): Promise<Map<string, Tensor>> {
  const path = fileURLToPath(new URL(`../golden/dual/${name}.safetensors`, import.meta.url));
  const file = await openSafetensors(path);
  const tensors = await file.readAll();
  await file.close();
  return new Map(tensors);
}

const under = (golden: ReadonlyMap<string, Tensor>, prefix: string): Map<string, Tensor> =>
  new Map(
    [...golden]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
  );

function bagsOf(bags: readonly (readonly number[])[]): {
  offsets: Int32Array;
  values: Int32Array;
} {
  const offsets = new Int32Array(bags.length + 1);
  bags.forEach((bag, i) => {
    offsets[i + 1] = offsets[i]! + bag.length;
  });
  return { offsets, values: Int32Array.from(bags.flat()) };
}

function batchOf(layout: Batch["layout"]): Batch {
  const padded = layout === "padded";
  const { length } = data;
  const laid = <T>(rows: readonly (readonly T[])[], padding: T): T[] =>
    rows.flatMap((row) =>
      padded ? Array.from({ length }, (_, i) => row[i] ?? padding) : [...row],
    );
  const counts = histories.map((history) => history.length);
  const shape = padded ? [counts.length, length] : [counts.reduce((sum, count) => sum + count, 0)];
  const ids = (values: readonly number[]): Tensor => tensor(Int32Array.from(values), { shape });
  const { offsets, values } = bagsOf(
    laid(
      histories.map((history) => history.map((item) => ofItems[item]!)),
      [],
    ),
  );
  const targets = histories.map((history, i) => [...history.slice(1), labels[i]!]);
  const extents = padded ? Int32Array.from(counts) : bagsOf(histories).offsets;
  return {
    ...{ size: counts.length, layout, extents },
    users: new Int32Array(counts.length),
    targetRows: new Float64Array(counts.length),
    lengths: padded ? tensor(extents) : undefined,
    offsets: padded ? undefined : tensor(extents),
    inputs: { item: ids(laid(histories, 0)), rating: ids(laid(rated, 0)) },
    bags: { genres: { ids: tensor(values), offsets: tensor(offsets) } },
    targets: { item: ids(laid(targets, -100)) },
    keep() {
      return this;
    },
  };
}

function dispose({ lengths, offsets, inputs, bags, targets }: Batch): void {
  const held = [
    ...[lengths, offsets],
    ...Object.values(inputs),
    ...Object.values(targets),
    ...Object.values(bags).flatMap((bag) => [bag.ids, bag.offsets]),
  ];
  for (const tensor of held) tensor?.dispose();
}
