import test from "ava";
import fc from "fast-check";
import { Parameter } from "../../src/autograd/index.js";
import { type EncoderRanker, encoderRanker } from "../../src/evaluate/index.js";
import { Dropout } from "../../src/nn/index.js";
import { memory, tensor } from "../../src/tensor/index.js";
import {
  emptyBatch,
  FixedEncoder,
  naiveRanks,
  naiveTop,
  plainRanks,
  seenLists,
  topOf,
} from "./naive.js";

let before: number;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => {
  t.is(memory().tensors, before, "no tensor is left");
});

interface Case {
  queries: number[][][];
  items: number[][];
  bias: number[] | undefined;
  targets: number[];
  seen: number[][];
}

/** Small whole numbers: float32 is exact, and many scores are equal. Items come twice; some numbers are none. */
function cases({ several }: { several: boolean }): fc.Arbitrary<Case> {
  const sizes = fc.record({
    size: fc.integer({ min: 1, max: 6 }),
    count: fc.integer({ min: 1, max: 70 }),
    width: fc.integer({ min: 1, max: 5 }),
    queries: several ? fc.integer({ min: 1, max: 4 }) : fc.constant(1),
    odd: fc.boolean(),
  });
  return sizes.chain(({ size, count, width, queries, odd }) => {
    const whole = fc.integer({ min: -2, max: 2 });
    const number = odd
      ? fc.oneof(
          { weight: 30, arbitrary: whole },
          { weight: 1, arbitrary: fc.constant(Number.NaN) },
        )
      : whole;
    const rows = (length: number, of: fc.Arbitrary<number>) =>
      fc.array(fc.array(of, { minLength: width, maxLength: width }), {
        minLength: length,
        maxLength: length,
      });
    const item = fc.integer({ min: 0, max: count - 1 });
    return fc.record({
      queries: fc.array(rows(queries, number), { minLength: size, maxLength: size }),
      items: rows(count, number),
      bias: fc.option(fc.array(whole, { minLength: count, maxLength: count }), { nil: undefined }),
      targets: fc.array(item, { minLength: size, maxLength: size }),
      seen: fc.array(fc.array(item, { maxLength: 90 }), { minLength: size, maxLength: size }),
    });
  });
}

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** `Math.max` is NaN if a number is. */
const scoresOf = ({ queries, items, bias }: Case): number[][] =>
  queries.map((own) =>
    items.map((item, i) => Math.max(...own.map((query) => dot(query, item) + (bias?.[i] ?? 0)))),
  );

function rankerOf({ queries, items, bias }: Case, { flat }: { flat: boolean }): EncoderRanker {
  const encoder = new FixedEncoder(
    () => tensor(flat ? queries.map(([query]) => query!) : queries),
    () => ({ weight: tensor(items), ...(bias && { bias: tensor(bias) }) }),
  );
  return encoderRanker(encoder);
}

for (const [name, flat, several] of [
  ["one query", true, false],
  ["several queries", false, true],
] as const) {
  test.serial(`${name}: ranks are those of sorted scores, pessimistic`, async (t) => {
    await fc.assert(
      fc.asyncProperty(cases({ several }), async (given) => {
        using ranker = rankerOf(given, { flat });
        const ranks = await ranker.rank(
          emptyBatch(given.targets.length),
          Int32Array.from(given.targets),
          seenLists(given.seen),
        );
        t.deepEqual(plainRanks(ranks), naiveRanks(scoresOf(given), given.targets, given.seen));
      }),
    );
  });

  test.serial(`${name}: the top items are those of sorted scores`, async (t) => {
    await fc.assert(
      fc.asyncProperty(
        cases({ several }),
        fc.integer({ min: 1, max: 80 }),
        async (given, count) => {
          using ranker = rankerOf(given, { flat });
          const batch = emptyBatch(given.targets.length);
          const scores = scoresOf(given);
          const all = await ranker.topItems(batch, count);
          const unseen = await ranker.topItems(batch, count, { seen: seenLists(given.seen) });
          t.is(all.count, Math.min(count, given.items.length));
          // NaN of one query is no score in `scoresOf`, and the first in the order, as in matmulTopK.
          for (const [i, row] of scores.entries()) {
            t.deepEqual(topOf(all, i), naiveTop(row, count));
            t.deepEqual(topOf(unseen, i), naiveTop(row, count, given.seen[i]));
            t.deepEqual(
              topOf(all, i).map((_, at) => all.scores[i * all.count + at]),
              naiveTop(row, count).map((item) => row[item]),
            );
          }
        },
      ),
    );
  });
}

test.serial("many queries over many items are ranked in blocks", async (t) => {
  const random = (i: number) => ((Math.imul(i, 2654435761) >>> 8) % 7) - 3;
  const rows = (count: number, width: number, salt: number) =>
    Array.from({ length: count }, (_, i) =>
      Array.from({ length: width }, (_, j) => random(salt + i * width + j)),
    );
  const given: Case = {
    queries: Array.from({ length: 33 }, (_, i) => rows(16, 4, 1000 * i)),
    items: rows(9001, 4, 7),
    bias: undefined,
    targets: Array.from({ length: 33 }, (_, i) => i * 271),
    seen: Array.from({ length: 33 }, (_, i) => [i, 5, 5, i * 271, 8000]),
  };
  using ranker = rankerOf(given, { flat: false });
  const ranks = await ranker.rank(
    emptyBatch(33),
    Int32Array.from(given.targets),
    seenLists(given.seen),
  );
  t.deepEqual(plainRanks(ranks), naiveRanks(scoresOf(given), given.targets, given.seen));
});

test.serial("an encoder is in eval() while it ranks, and then as it was", async (t) => {
  class Parts extends FixedEncoder {
    readonly dropout = new Dropout(0.5);
    readonly head = new Dropout(0.1);
  }
  using encoder = new Parts(
    () => tensor([[1]]),
    () => ({ weight: tensor([[1], [2]]) }),
  );
  encoder.head.eval();
  const ranker = encoderRanker(encoder);
  t.deepEqual([encoder.training, encoder.dropout.training], [false, false]);
  const rank = () => ranker.rank(emptyBatch(1), Int32Array.of(0), seenLists([[1]]));
  t.deepEqual(plainRanks(await rank()), { unmasked: [2], masked: [1] });
  await rank();
  t.is(encoder.tables, 1, "items are computed once");
  t.false(encoder.sawTraining);
  ranker.dispose();
  t.deepEqual(
    [encoder.training, encoder.dropout.training, encoder.head.training],
    [true, true, false],
  );
});

test.serial("a table that is a parameter stays the encoder's", async (t) => {
  using parameter = new Parameter(tensor([[1], [2], [3]]));
  const encoder = new FixedEncoder(
    () => tensor([[1]]),
    () => ({ weight: parameter.value, bias: tensor([0, 0, 5]) }),
  );
  encoderRanker(encoder).dispose();
  t.false(parameter.value.disposed);
  using ranker = encoderRanker(encoder);
  t.is(ranker.items, 3);
  t.deepEqual(topOf(await ranker.topItems(emptyBatch(1), 2), 0), [2, 1]);
});

test.serial("what does not go together is refused, and nothing is left", async (t) => {
  const encoder = (shape: number[]) =>
    new FixedEncoder(
      () => tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), { shape }),
      () => ({ weight: tensor([[1, 2]]) }),
    );
  for (const shape of [[2, 3], [3, 2], [2], [2, 1, 3], [1, 1, 2, 2]]) {
    using ranker = encoderRanker(encoder(shape), { name: "mine" });
    const error = await t.throwsAsync(
      ranker.rank(emptyBatch(2), Int32Array.of(0, 0), seenLists([[], []])),
      { code: "ERR_SHAPE" },
    );
    t.regex(error.message, /^mine: query\(\) must give \[2, 2\] or \[2, k, 2\]/);
  }
  using ranker = encoderRanker(encoder([1, 2]));
  for (const count of [0, 1.5, Number.NaN])
    await t.throwsAsync(ranker.topItems(emptyBatch(1), count), { code: "ERR_USAGE" });
  const broken = new FixedEncoder(
    () => tensor([[1]]),
    () => {
      tensor([1, 2, 3]);
      throw new Error("no items");
    },
  );
  t.throws(() => encoderRanker(broken), { message: "no items" });
  t.true(broken.training);
});
