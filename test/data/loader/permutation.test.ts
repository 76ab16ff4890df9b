import test from "ava";
import fc from "fast-check";
import { permutation } from "../../../src/data/loader/permutation.js";

/** Probability of a chi-square value at least as large: Wilson and Hilferty's normal approximation. */
function standardScore(observed: readonly number[], expected: number): number {
  const chi = observed.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  const freedom = observed.length - 1;
  const spread = 2 / (9 * freedom);
  return (Math.cbrt(chi / freedom) - (1 - spread)) / Math.sqrt(spread);
}

test("every element comes once", (t) => {
  for (const count of [1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 1000, 4096, 4097, 50_000]) {
    const at = permutation(count, 3, 1);
    const seen = new Uint8Array(count);
    for (let i = 0; i < count; i++) seen[at(i)]!++;
    t.true(
      seen.every((times) => times === 1),
      `${count} elements`,
    );
  }
});

test("elements of huge ranges are in range and differ", (t) => {
  for (const count of [2 ** 31 + 1, 2 ** 40 + 7, 2 ** 53 - 1, 2 ** 53]) {
    const at = permutation(count, 1);
    const elements = Array.from({ length: 10_000 }, (_, i) => at(i < 5000 ? i : count - 1 - i));
    t.true(elements.every((e) => Number.isSafeInteger(e) && e >= 0 && e < count));
    t.is(new Set(elements).size, elements.length);
    t.true(elements.some((e) => e > count / 2) && elements.some((e) => e < count / 2));
  }
});

test("the order depends on seed and epoch alone", (t) => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.nat(), (seed, epoch) => {
      const order = (seed: number, epoch: number): number[] =>
        Array.from({ length: 100 }, (_, i) => permutation(1000, seed, epoch)(i));
      t.deepEqual(order(seed, epoch), order(seed, epoch));
      t.notDeepEqual(order(seed, epoch), order(seed, epoch + 1));
      t.notDeepEqual(order(seed, epoch), order(seed === 0 ? 1 : seed - 1, epoch));
    }),
    { numRuns: 30 },
  );
});

test("orders never change: runs would not resume", (t) => {
  // The same numbers stand in native/test/loader.cpp.
  for (const [count, seed, epoch, index, element] of [
    [10, 0, 0, 3, 5],
    [1000, 7, 1, 999, 779],
    [13844810, 42, 5, 1000000, 6494671],
    [1099511627783, 123456789012345, 3, 549755813889, 929447677093],
    [9007199254740991, 9007199254740991, 4294967297, 4503599627370496, 939174419698115],
  ] as const)
    t.is(permutation(count, seed, epoch)(index), element);
});

test("each place is uniform over the elements", (t) => {
  for (const count of [2, 3, 10, 16, 100, 257])
    for (const place of [0, 1, count - 1]) {
      const counts = new Array<number>(count).fill(0);
      for (let seed = 0; seed < 100 * count; seed++) counts[permutation(count, seed, 2)(place)]!++;
      const score = standardScore(counts, 100);
      t.true(Math.abs(score) < 4, `${count} elements, place ${place}: ${score.toFixed(1)} sigma`);
    }
});

test("all orders of a few elements are equally frequent", (t) => {
  for (const [count, orders] of [
    [3, 6],
    [4, 24],
    [5, 120],
  ] as const) {
    const counts = new Map<string, number>();
    for (let seed = 0; seed < 100 * orders; seed++) {
      const at = permutation(count, seed);
      const order = Array.from({ length: count }, (_, i) => at(i)).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    t.is(counts.size, orders);
    const score = standardScore([...counts.values()], 100);
    t.true(Math.abs(score) < 4, `${count} elements: ${score.toFixed(1)} sigma`);
  }
});

test("neighbours are far apart", (t) => {
  const count = 100_000;
  const at = permutation(count, 9);
  const counts = new Array<number>(100).fill(0);
  for (let i = 0; i + 1 < count; i++)
    counts[Math.floor(((at(i + 1) - at(i) + count) % count) / 1000)]!++;
  const score = standardScore(counts, (count - 1) / 100);
  t.true(Math.abs(score) < 4, `${score.toFixed(1)} sigma`);
});
