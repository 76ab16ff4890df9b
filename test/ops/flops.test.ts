import test from "ava";
import fc from "fast-check";
import { valueAndGrad } from "../../src/autograd/index.js";
import { UsageError } from "../../src/errors.js";
import { native } from "../../src/native.js";
import { TransformerBlock } from "../../src/nn/index.js";
import {
  attention,
  countFlops,
  embedding,
  embeddingBag,
  linear,
  linearCrossEntropy,
  loraLinear,
  matmul,
  matmulTopK,
  paperFlops,
  rankOfTargets,
  selfAttention,
  sum,
} from "../../src/ops/index.js";
import { memory, profile, type Tensor, tensor, tidy } from "../../src/tensor/index.js";
import { differentiableInputs, inputsOf, loadCases } from "../cases/inputs.js";
import { cotangentsOf, forward, gradients } from "./check.js";

const filled = (shape: readonly number[], value = 0.01): Tensor =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value), { shape });

const ids = (...values: number[]): Tensor => tensor(Int32Array.from(values));

/** Ops that count nothing: they move data, compare or draw. */
const uncounted = [
  ...["broadcast_to", "cast", "clamp", "clamp_backward", "concat", "embedding", "equal", "full"],
  ...["gather", "greater", "greater_equal", "less", "less_equal", "logical_and", "logical_or"],
  ...["not_equal", "pad", "random_integers", "random_normal", "random_truncated_normal"],
  ...["random_uniform", "slice", "transpose", "where"],
];

/** The count of what `body` computes, whose tensors are disposed. */
const countOf = (body: () => unknown) =>
  countFlops(() =>
    tidy(() => {
      body();
    }),
  );

/** Counts `body` forward and backward for gradients of `wanted`. */
const countGradient = (make: () => { wanted: Tensor[]; body: () => Tensor }) =>
  countOf(() => {
    const { wanted, body } = make();
    valueAndGrad(wanted, body);
  });

test.serial("a product is two operations for each multiply-add", async (t) => {
  const products: [string, number, () => unknown][] = [
    ["matmul", 2 * 3 * 4 * 5, () => matmul(filled([3, 4]), filled([4, 5]))],
    ["matmul", 2 * 7 * 3 * 4 * 5, () => matmul(filled([7, 3, 4]), filled([7, 4, 5]))],
    [
      "matmul",
      2 * 3 * 4 * 5,
      () => matmul(filled([4, 3]), filled([5, 4]), { transposeA: true, transposeB: true }),
    ],
    ["linear", 2 * (2 * 3) * 4 * 5, () => linear(filled([2, 3, 4]), filled([5, 4]), filled([5]))],
    [
      "linear",
      2 * 3 * 4 * 5,
      () => linear(filled([3, 4]), filled([5, 4]), undefined, { precision: "bfloat16" }),
    ],
    ["matmul_top_k", 2 * 3 * 4 * 9, () => matmulTopK(filled([3, 4]), filled([9, 4]), 2)],
    [
      "matmul_rank",
      2 * 3 * 4 * 9,
      () => rankOfTargets(filled([3, 4]), filled([9, 4]), ids(1, 2, 3)),
    ],
    [
      "lora_linear",
      // The weight, then for each adapter of rank 2 its two factors.
      2 * 3 * (4 * 6 + (2 * 4 + 6 * 2) + (2 * 4 + 3 * 2)),
      () =>
        loraLinear(filled([3, 4]), filled([6, 4]), undefined, [
          { a: filled([2, 4]), b: filled([6, 2]), scale: 1 },
          { a: filled([2, 4]), b: filled([3, 2]), scale: 1, offset: 3 },
        ]),
    ],
  ];
  for (const [op, flops, body] of products) {
    const count = await countOf(body);
    t.is(count.byOp[op], flops, op);
    t.is(count.products, flops, op);
  }
});

test.serial(
  "a linear layer's gradients are a product each, and only those that are wanted",
  async (t) => {
    const once = 2 * 6 * 4 * 5;
    const layer = (wants: (x: Tensor, weight: Tensor) => Tensor[]) =>
      countGradient(() => {
        const [x, weight] = [filled([6, 4]), filled([5, 4])];
        return { wanted: wants(x, weight), body: () => sum(linear(x, weight)) };
      });
    t.is((await layer((x, weight) => [x, weight])).products, 3 * once);
    t.is((await layer((x) => [x])).products, 2 * once);
    t.is((await layer((_, weight) => [weight])).products, 2 * once);
  },
);

test.serial("adapters of a frozen weight cost no gradient of it", async (t) => {
  const [rows, inWidth, outWidth, rank] = [3, 4, 6, 2];
  const { products } = await countGradient(() => {
    const [x, weight] = [filled([rows, inWidth]), filled([outWidth, inWidth])];
    const [a, b] = [filled([rank, inWidth]), filled([outWidth, rank])];
    return {
      wanted: [a, b],
      body: () => sum(loraLinear(x, weight, undefined, [{ a, b, scale: 1 }])),
    };
  });
  const factors = rank * inWidth + outWidth * rank;
  const ofA = outWidth * rank + rank * inWidth; // through b, then with x
  const ofB = outWidth * rank;
  t.is(products, 2 * rows * (outWidth * inWidth + factors + ofA + ofB));
});

test.serial("sums over looked-up rows are an addition an element; a look-up is none", async (t) => {
  const bags = await countOf(() => embeddingBag(filled([9, 4]), ids(0, 1, 8), ids(0, 2, 3)));
  t.is(bags.byOp.embedding_bag, 3 * 4);
  t.is(bags.products, 0);
  const rows = await countOf(() => embedding(filled([9, 4]), ids(0, 1, 8)));
  t.is(rows.total, 0);
});

/** Keys that queries see, by the rules in words. */
function pairs(queries: number, keys: number, causal: boolean, window?: number): number {
  let seen = 0;
  for (let query = 0; query < queries; query++)
    for (let key = 0; key < keys; key++) {
      const ahead = key - (keys - queries + query);
      if (causal && ahead > 0) continue;
      if (window !== undefined && Math.abs(ahead) >= window) continue;
      seen++;
    }
  return seen;
}

test.serial(
  "attention counts the keys that queries see, forward twice and backward five times",
  async (t) => {
    const length = fc.integer({ min: 0, max: 9 });
    const sequences = fc.array(length, { minLength: 1, maxLength: 4 });
    const rules = fc.record({
      causal: fc.boolean(),
      window: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
      ragged: fc.boolean(),
    });
    const [heads, width] = [2, 4];
    await fc.assert(
      fc.asyncProperty(sequences, rules, async (lengths, { causal, window, ragged }) => {
        const tokens = lengths.reduce((a, b) => a + b, 0);
        const longest = Math.max(...lengths);
        if (longest === 0) return;
        const { byOp } = await countGradient(() => {
          const shape = ragged
            ? [tokens, 3 * heads, width]
            : [lengths.length, longest, 3 * heads, width];
          const packed = filled(shape);
          const starts = lengths.map((_, i) => lengths.slice(0, i).reduce((a, b) => a + b, 0));
          const which = ragged ? { offsets: ids(...starts, tokens) } : { lengths: ids(...lengths) };
          return {
            wanted: [packed],
            body: () => sum(selfAttention(packed, { ...which, causal, window })),
          };
        });
        const seen = lengths.reduce((all, each) => all + pairs(each, each, causal, window), 0);
        t.is(byOp.attention, 2 * 2 * seen * heads * width);
        t.is(byOp.attention_backward, 2 * 5 * seen * heads * width);
      }),
      { numRuns: 60 },
    );
  },
);

test.serial("attention to other keys counts as many query heads as there are", async (t) => {
  const { products } = await countOf(() =>
    attention(filled([2, 3, 4, 8]), filled([2, 5, 2, 8]), filled([2, 5, 2, 8]), {
      causal: true,
      keyLengths: ids(5, 4),
    }),
  );
  t.is(products, 2 * 2 * (pairs(3, 5, true) + pairs(3, 4, true)) * 4 * 8);
});

test.serial("linear and cross-entropy counts the rows whose target counts", async (t) => {
  const [width, classes] = [4, 9];
  const loss = (targets: Tensor, weights?: Tensor) =>
    countGradient(() => {
      const [x, table] = [filled([5, width]), filled([classes, width])];
      return {
        wanted: [x, table],
        body: () => linearCrossEntropy(x, table, targets, { weights }),
      };
    });
  using targets = ids(0, 3, -100, 8, -100);
  t.is((await loss(targets)).products, 3 * (2 * 3 * width * classes));
  using bags = tensor(Int32Array.from([1, 2, -100, -100, 3, -100, -100, 4, -100, -100]), {
    shape: [5, 2],
  });
  t.is((await loss(bags)).products, 3 * (2 * 3 * width * classes));
  using weights = tensor(Float32Array.from([1, 0, 1, 1, 1]));
  t.is((await loss(targets, weights)).products, 3 * (2 * 2 * width * classes));
  const forwardOnly = await countOf(() =>
    linearCrossEntropy(filled([5, width]), filled([classes, width]), targets),
  );
  t.is(forwardOnly.products, 2 * 3 * width * classes);
});

test.serial(
  "a transformer block counts by its closed form, which the paper's rule meets but for attention",
  async (t) => {
    const [batch, length, width, heads] = [3, 7, 16, 2];
    using block = new TransformerBlock(width, { heads, causal: true });
    const parameters = block.trainable();
    const weights = parameters.filter(({ value }) => value.shape.length === 2);
    const matrices = weights.reduce((total, { value }) => total + value.size, 0);
    t.is(matrices, 12 * width ** 2);
    const tokens = batch * length;
    const seen = (batch * length * (length + 1)) / 2;

    using x = filled([batch, length, width]);
    const forwardPass = await countOf(() => block.forward(x));
    t.is(forwardPass.products, 2 * matrices * tokens + 4 * seen * width);
    t.true(forwardPass.total > forwardPass.products);

    const both = await countOf(() => valueAndGrad(parameters, () => sum(block.forward(x))));
    const attended = (4 + 10) * seen * width;
    t.is(both.products, 6 * matrices * tokens + attended);
    t.is(both.products - attended, paperFlops({ parameters: matrices, tokens }));
    t.is(
      both.total,
      Object.values(both.byOp).reduce((a, b) => a + b, 0),
    );
  },
);

test.serial("counts are the same in every run, and other counts do not disturb them", async (t) => {
  const work = () => countOf(() => matmul(filled([3, 4]), filled([4, 5])));
  const first = await work();
  t.deepEqual(await work(), first);
  const before = memory().tensors;
  const outer = await countFlops(async () => {
    const inner = await work();
    tidy(() => {
      matmul(filled([2, 2]), filled([2, 2]));
    });
    return inner;
  });
  t.deepEqual(outer.result, first);
  t.is(outer.products, 120 + 16);
  const around = await profile(work);
  t.is(around.ops.find(({ op }) => op === "matmul")!.flops, 120);
  t.is(memory().tensors, before);
});

test.serial("an error of the body is the caller's, and nothing is counted after it", async (t) => {
  await t.throwsAsync(
    countFlops(() => {
      throw new UsageError("no");
    }),
    { message: "no" },
  );
  t.is((await countFlops(() => undefined)).total, 0);
});

test.serial("paperFlops wants numbers", (t) => {
  t.is(paperFlops({ parameters: 1e9, tokens: 2e9 }), 1.2e19);
  t.throws(() => paperFlops({ parameters: -1, tokens: 1 }), {
    instanceOf: UsageError,
    message: "paperFlops: parameters must be a number from 0, got -1",
  });
});

test.serial("the ops that count nothing only move data, compare or draw", async (t) => {
  const most = new Map<string, number>();
  for (const list of await loadCases())
    for (const options of list.shapes) {
      const inputs = inputsOf(list, options, 500);
      if (!inputs) continue;
      const { byOp } = await countFlops(async () => {
        const outputs = await forward(list, options, inputs, "float32");
        const cotangents = cotangentsOf(list, options, outputs);
        if (cotangents.size > 0 && differentiableInputs(list, inputs).length > 0)
          await gradients(list, options, inputs, cotangents, "float32");
      });
      for (const [op, flops] of Object.entries(byOp))
        most.set(op, Math.max(flops, most.get(op) ?? 0));
    }
  t.deepEqual(
    native
      .ops()
      .map(({ name }) => name)
      .filter((name) => !most.has(name)),
    [],
  );
  const without = [...most].filter(([, flops]) => flops === 0).map(([op]) => op);
  t.deepEqual(without.sort(), uncounted);
});
