import test from "ava";
import { Generator, init, type Tensor } from "../../src/index.js";

const generator = () => ({ generator: new Generator(11) });

async function moments(tensor: Tensor) {
  const data = await tensor.dataAs("float32");
  tensor.dispose();
  const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
  const variance = data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / data.length;
  return { mean, std: Math.sqrt(variance), most: Math.max(...data.map(Math.abs)) };
}

/** A sample's mean and deviation lie within five standard errors of what they should be. */
for (const [name, make, std, limit] of [
  ["normal", () => init.normal([200, 100], 0.02, generator()), 0.02, Infinity],
  ["uniform", () => init.uniform([200, 100], 0.3, generator()), 0.3 / Math.sqrt(3), 0.3],
  ["fanInUniform", () => init.fanInUniform([200, 100], 100, generator()), 0.1 / Math.sqrt(3), 0.1],
  [
    "xavierUniform",
    () => init.xavierUniform([200, 100], generator()),
    Math.sqrt(2 / 300),
    Math.sqrt(6 / 300),
  ],
  [
    "kaimingNormal",
    () => init.kaimingNormal([200, 100], generator()),
    Math.sqrt(2 / 100),
    Infinity,
  ],
] as const)
  test(`${name} has its mean, deviation and limit`, async (t) => {
    const found = await moments(make());
    t.true(Math.abs(found.mean) < (5 * std) / Math.sqrt(20_000), `mean ${found.mean}`);
    t.true(Math.abs(found.std / std - 1) < 5 / Math.sqrt(2 * 20_000), `deviation ${found.std}`);
    t.true(found.most <= limit);
  });

test("a seed gives the values", async (t) => {
  using a = init.normal([50], 1, generator());
  using b = init.normal([50], 1, generator());
  t.deepEqual(await a.data(), await b.data());
});
