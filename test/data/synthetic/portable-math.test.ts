import test from "ava";
import { AliasTable } from "../../../src/data/synthetic/alias-table.js";
import { RandomStream } from "../../../src/data/synthetic/philox.js";
import { exp, log, zipf } from "../../../src/data/synthetic/portable-math.js";

test("exp and log are those of the engine, but for the last bits", (t) => {
  for (let x = -600; x <= 600; x += 0.37) {
    t.true(Math.abs(exp(x) / Math.exp(x) - 1) < 3e-16 * (10 + Math.abs(x)), `exp(${x})`);
    t.true(Math.abs(log(Math.exp(x)) - x) <= 1e-15 * (1 + Math.abs(x)), `log(exp(${x}))`);
  }
  t.is(exp(0), 1);
  t.is(log(1), 0);
});

test("Zipf's shares fall as a power of the rank", (t) => {
  const shares = zipf(1000, 0.8);
  t.true(Math.abs(shares.reduce((sum, share) => sum + share, 0) - 1) < 1e-12);
  for (const rank of [2, 10, 1000])
    t.true(Math.abs(shares[rank - 1]! / shares[0]! - rank ** -0.8) < 1e-12);
});

test("an alias table draws in proportion to the weights", (t) => {
  const weights = Float64Array.from([0, 5, 1, 0.01, 3, 0.99]);
  const table = new AliasTable(weights);
  const random = new RandomStream(3, 1);
  const counts = new Float64Array(weights.length);
  const draws = 200_000;
  for (let i = 0; i < draws; i++) counts[table.draw(random)]!++;
  weights.forEach((weight, i) => {
    const share = weight / 10;
    const noise = Math.sqrt(draws * share * (1 - share));
    t.true(Math.abs(counts[i]! - draws * share) <= 4 * noise, `${i}: ${counts[i]}`);
  });
});
