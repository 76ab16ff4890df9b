/** The package's encoders, as they begin: their ranks are those of scores added up from their queries and items. */
import test from "ava";
import { Loader } from "../../src/data/index.js";
import { encoderRanker, evaluateRanking } from "../../src/evaluate/index.js";
import {
  AutoregressiveEncoder,
  Bert4RecEncoder,
  DualEncoder,
  type UserEncoder,
} from "../../src/models/index.js";
import { Generator } from "../../src/ops/index.js";
import { memory, tidy } from "../../src/tensor/index.js";
import { openSplit } from "../tasks/tasks.js";

const length = 8;
const itemCount = 40;
const features = [{ name: "item", bag: false, size: itemCount, of: "event" }] as const;
const sizes = { layers: 1, width: 16, heads: 2 };

const encoders: Record<string, (generator: Generator) => UserEncoder> = {
  autoregressive: (generator) =>
    new AutoregressiveEncoder({ features, length }, { ...sizes, generator }),
  bert4rec: (generator) => new Bert4RecEncoder({ features, length }, { ...sizes, generator }),
  dual: (generator) =>
    new DualEncoder(
      { features, length },
      { ...sizes, outputs: 3, generator },
      { itemTargets: new Float64Array(itemCount).fill(1), itemValues: {} },
    ),
};

const histories = Array.from({ length: 30 }, (_, user) =>
  Array.from({ length: 4 + (user % 12) }, (_, i) => (user * 11 + i * i * 7 + i) % itemCount),
);
histories.push(Array.from({ length: itemCount }, (_, item) => item));

for (const [name, make] of Object.entries(encoders)) {
  test.serial(`${name}: in either layout, and nothing is left`, async (t) => {
    const { data, ...split } = await openSplit(t, { histories }, { windows: "padded", length });
    const before = memory().tensors;
    {
      using generator = {
        value: new Generator(3),
        [Symbol.dispose]: () => generator.value.dispose(),
      };
      using encoder = make(generator.value);
      encoder.train();
      const bounds = await rankBounds(encoder);
      for (const layout of ["padded", "ragged"] as const) {
        using ranker = encoderRanker(encoder, { name });
        const options = { layout, batchSize: 7, bootstrap: 0 };
        const { windows } = await evaluateRanking(ranker, data, split, options);
        t.is(windows.unmasked.length, histories.length);
        for (const [i, [least, most]] of bounds.entries()) {
          const rank = windows.unmasked[i]!;
          t.true(least <= rank && rank <= most, `window ${i}: ${rank} of ${least} to ${most}`);
        }
      }
      t.true(encoder.training);
    }
    t.is(memory().tensors, before);

    /** Ranks of each test target if all near ties went for it, and against it. */
    async function rankBounds(encoder: UserEncoder): Promise<[number, number][]> {
      const modes = encoder.training;
      encoder.eval();
      const bounds: [number, number][] = [];
      const batches = new Loader(data, split.test, { batchSize: 64, features: ["item"] });
      for await (const batch of batches) {
        const made = tidy(() => {
          const { weight, bias } = encoder.itemTable();
          return { query: encoder.query(batch), weight, ...(bias && { bias }) };
        });
        const [query, weight] = await Promise.all([made.query.data(), made.weight.data()]);
        const bias = await made.bias?.data();
        const width = made.weight.shape[1]!;
        const queries = query.length / width / batch.size;
        for (let i = 0; i < batch.size; i++) {
          const scores = Array.from({ length: itemCount }, (_, item) =>
            Math.max(
              ...Array.from({ length: queries }, (_, k) => {
                let score = bias?.[item] ?? 0;
                for (let j = 0; j < width; j++)
                  score += query[(i * queries + k) * width + j]! * weight[item * width + j]!;
                return score;
              }),
            ),
          );
          const own = scores[data.column("item")[batch.targetRows[i]!]!]!;
          const near = 1e-5 * Math.max(1, Math.abs(own));
          const above = scores.filter((score) => score > own + near).length;
          bounds.push([1 + above, scores.filter((score) => score >= own - near).length]);
        }
        const own = new Set(encoder.parameters().map(({ value }) => value));
        for (const tensor of Object.values(made)) if (!own.has(tensor)) tensor.dispose();
      }
      encoder.train(modes);
      return bounds;
    }
  });
}
