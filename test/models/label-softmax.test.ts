/** The losses of the dual encoder equal loops from their definition, in float64. */
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { Generator, gradcheck, memory, randn, type Tensor, tensor, tidy } from "../../src/index.js";
import { fullSoftmax, inBatchSoftmax } from "../../src/models/encoders/label-softmax.js";

type Vector = readonly number[];

const number = fc.double({ min: -3, max: 3, noNaN: true });
const vectors = (count: number): fc.Arbitrary<Vector[]> =>
  fc.array(fc.array(number, { minLength: 3, maxLength: 3 }), {
    minLength: count,
    maxLength: count,
  });

/** Queries of `k` vectors each, a table of labels, and of each query a label: few different ones, so that some meet. */
const problem = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 3 }))
  .chain(([size, k]) =>
    fc.record({
      size: fc.constant(size),
      k: fc.constant(k),
      queries: vectors(size * k),
      table: vectors(4),
      labels: fc.array(fc.constantFrom(0, 1, 2, 3, -100), { minLength: size, maxLength: size }),
    }),
  );

const dot = (a: Vector, b: Vector): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** The highest of the products of query `i` with a label. */
const score = (queries: readonly Vector[], k: number, i: number, label: Vector): number =>
  Math.max(...queries.slice(i * k, (i + 1) * k).map((query) => dot(query, label)));

const crossEntropy = (scores: Vector, own: number): number =>
  Math.log(scores.reduce((sum, other) => sum + Math.exp(other), 0)) - own;

const matrix = (rows: readonly Vector[], shape: readonly number[]): Tensor =>
  tensor(Float64Array.from(rows.flat()), { shape });

async function near(t: ExecutionContext, run: () => Tensor, expected: number): Promise<void> {
  const before = memory().tensors;
  const result = tidy(run);
  const actual = await result.item();
  result.dispose();
  t.is(memory().tensors, before, "tensors leaked");
  if (!(Math.abs(actual - expected) <= 1e-9 * Math.max(1, Math.abs(expected))))
    throw new Error(`got ${actual}, not ${expected}`);
}

test.serial("in-batch: equal labels are no negatives, missing ones nothing at all", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      problem,
      fc.option(
        fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), { minLength: 4, maxLength: 4 }),
      ),
      async ({ size, k, queries, table, labels }, shares) => {
        const corrected = (i: number, label: number): number =>
          score(queries, k, i, table[label]!) - (shares ? Math.log(shares[label]!) : 0);
        let expected = 0;
        labels.forEach((label, i) => {
          if (label < 0) return;
          const others = labels.filter((other) => other >= 0 && other !== label);
          const own = corrected(i, label);
          expected += crossEntropy([own, ...others.map((other) => corrected(i, other))], own);
        });
        await near(
          t,
          () =>
            inBatchSoftmax(
              matrix(queries, [size, k, 3]),
              matrix(
                labels.map((label) => table[Math.max(0, label)]!),
                [size, 3],
              ),
              tensor(Int32Array.from(labels)),
              {
                logShares: shares
                  ? matrix(
                      shares.map((share) => [Math.log(share)]),
                      [4, 1],
                    )
                  : undefined,
              },
            ),
          expected,
        );
      },
    ),
    { numRuns: 150 },
  );
});

test.serial("full: over all labels, of which several may share a target", async (t) => {
  await fc.assert(
    fc.asyncProperty(problem, fc.boolean(), async ({ size, k, queries, table, labels }, bags) => {
      // As a bag: the label and the one after it.
      const targets = labels.map((label) =>
        bags && label >= 0 && label < 3 ? [label, label + 1] : [label, -100],
      );
      let expected = 0;
      targets.forEach((target, i) => {
        const scores = table.map((label) => score(queries, k, i, label));
        const real = target.filter((label) => label >= 0);
        for (const label of real) expected += crossEntropy(scores, scores[label]!) / real.length;
      });
      const ids = Int32Array.from(bags ? targets.flat() : labels);
      await near(
        t,
        () =>
          fullSoftmax(
            matrix(queries, [size, k, 3]),
            matrix(table, [4, 3]),
            tensor(ids, { shape: bags ? [size, 2] : [size] }),
          ),
        expected,
      );
    }),
    { numRuns: 150 },
  );
});

test.serial("gradients are those of central differences", async (t) => {
  const before = memory().tensors;
  const generator = new Generator(1);
  const random = (...shape: number[]) => randn(shape, { generator, dtype: "float64" });
  const [queries, embedded, table] = [random(6, 3, 3), random(6, 3), random(4, 3)];
  generator.dispose();
  const shares = matrix([[-1], [-0.5], [-2], [-3]], [4, 1]);
  const labels = tensor(Int32Array.of(0, 1, 2, 3, 1, -100));
  const bags = tensor(Int32Array.of(0, 1, 2, -100, -100, -100, 3, 0, 1, -100, 2, 3), {
    shape: [6, 2],
  });
  const inBatch = await gradcheck(
    (q, e) => inBatchSoftmax(q!, e!, labels, { logShares: shares }),
    [queries, embedded],
  );
  t.true(inBatch.passed, JSON.stringify(inBatch.worst));
  for (const ids of [labels, bags]) {
    const full = await gradcheck((q, w) => fullSoftmax(q!, w!, ids), [queries, table]);
    t.true(full.passed, JSON.stringify(full.worst));
  }
  for (const made of [queries, embedded, table, shares, labels, bags]) made.dispose();
  t.is(memory().tensors, before, "tensors leaked");
});
