/** Scaled angles, from the formulas of the papers; families-config.test.ts has the wordings. */
import test from "ava";
import fc from "fast-check";
import { ConfigReader } from "../../../src/models/index.js";
import { ropeOf } from "../../../src/models/llm/rope.js";

const factors = { factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
const llama3 = { rope_type: "llama3", ...factors, original_max_position_embeddings: 8192 };
const of = (rope_parameters: object, headWidth = 64) =>
  ropeOf(new ConfigReader({ rope_parameters }), headWidth);

test("linear scaling divides all angles", (t) => {
  const { inverseFrequencies, base, width } = of(
    { rope_type: "linear", factor: 4, rope_theta: 100 },
    4,
  );
  t.deepEqual(inverseFrequencies, [1 / 4, 0.1 / 4]);
  t.deepEqual([base, width], [100, 4]);
});

test("llama3 scaling leaves waves shorter than a quarter of the context, and divides those longer than it", (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 100, max: 1_000_000 }), (theta) => {
      const { inverseFrequencies } = of({ ...llama3, rope_theta: theta });
      for (const [i, scaled] of inverseFrequencies!.entries()) {
        const plain = theta ** (-i / 32);
        const wave = (2 * Math.PI) / plain;
        if (wave < 8192 / 4) t.is(scaled, plain);
        else if (wave > 8192) t.true(Math.abs(scaled / (plain / 8) - 1) < 1e-12);
        else t.true(scaled <= plain && scaled >= plain / 8);
      }
      const falling = inverseFrequencies!.every((each, i, all) => i === 0 || each <= all[i - 1]!);
      t.true(falling);
    }),
  );
});

test("without scaling, angles go by the base", (t) => {
  for (const section of [{}, { rope_type: "default" }, { type: "default" }])
    t.deepEqual(of(section), { base: 10_000, width: 64, style: "half" });
});
