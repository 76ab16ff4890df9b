/** What the case list leaves out of linearCrossEntropy: the unfused form, chunks, memory, hostile values, messages. */
import test from "ava";
import { valueAndGrad } from "../../src/autograd/value-and-grad.js";
import { UsageError } from "../../src/errors.js";
import * as ops from "../../src/ops/index.js";
import { noGrad } from "../../src/ops/tape.js";
import { memory, resetPeakMemory, tidy } from "../../src/tensor/memory.js";
import { type Tensor, tensor } from "../../src/tensor/tensor.js";
import { hostRandom } from "../cases/random-host.js";
import { type Computed, difference, download, magnitude, toleranceOf } from "./check.js";

const { crossEntropy, embedding, linear, linearCrossEntropy } = ops;

/** Inputs on the device; `spread` is the standard deviation of the logits. */
function inputs(rows: number, width: number, classes: number, spread = 2) {
  const random = hostRandom(`linear cross-entropy ${rows} ${width} ${classes}`);
  const float = (shape: number[], scale = 1): Tensor =>
    tensor(Float32Array.from(random.normal(shape, scale).data), { shape });
  return {
    x: float([rows, width]),
    weight: float([classes, width], spread * width ** -0.5),
    bias: float([classes]),
    targets: tensor(Int32Array.from(random.integers([rows], classes).data), { shape: [rows] }),
    weights: tensor(Float32Array.from(random.uniform([rows], 0.5, 2).data), { shape: [rows] }),
  };
}
const dispose = (tensors: Readonly<Record<string, Tensor>>): void => {
  for (const x of Object.values(tensors)) x.dispose();
};

/** The value of `loss` and its gradients. */
async function evaluate(watched: readonly Tensor[], loss: () => Tensor): Promise<Computed[]> {
  const { loss: value, gradients } = tidy(() => valueAndGrad(watched, loss));
  const all = [value, ...watched.map((x) => gradients.get(x)!)];
  const computed = await Promise.all(all.map(download));
  for (const x of all) x.dispose();
  return computed;
}

test.afterEach((t) => {
  t.is(memory().tensors, 0);
});

for (const [name, options] of [
  ["plainly", {}],
  ["with smoothing and weights", { labelSmoothing: 0.1, weighted: true }],
  ["with ignored rows, summed", { ignoreIndex: 3, reduction: "sum" }],
] as const)
  test.serial(`linear and crossEntropy in one, ${name}`, async (t) => {
    for (const [rows, width, classes] of [
      [97, 33, 1_201],
      [400, 64, 333],
      [31, 600, 120],
      [3, 4, 130_000],
    ] as const) {
      const { x, weight, bias, targets, weights } = inputs(rows, width, classes);
      const { weighted = false, ...rest } = options as { weighted?: boolean };
      const settings = { ...rest, weights: weighted ? weights : undefined };
      const fused = await evaluate([x, weight, bias], () =>
        linearCrossEntropy(x, weight, targets, { bias, ...settings }),
      );
      const unfused = await evaluate([x, weight, bias], () =>
        crossEntropy(linear(x, weight, bias), targets, settings),
      );
      const problems = fused.flatMap((computed, i) => {
        const scale = Math.max(magnitude(unfused[i]!.data), 1 / rows);
        const terms = Math.max(classes, rows) + width;
        return difference(`${i}`, computed, unfused[i]!, toleranceOf("float32", terms, scale));
      });
      t.deepEqual(problems, []);
      dispose({ x, weight, bias, targets, weights });
    }
  });

test.serial(
  "a row's loss does not depend on the other rows, nor on how they are chunked",
  async (t) => {
    // With 26,744 classes a chunk has 384 rows.
    const given = inputs(385, 3, 26_744);
    const { x, weight, targets } = given;
    const rowsOf = async (count: number): Promise<Float64Array> => {
      const loss = tidy(() =>
        linearCrossEntropy(ops.slice(x, 0, 0, count), weight, ops.slice(targets, 0, 0, count), {
          reduction: "none",
        }),
      );
      const { data } = await download(loss);
      loss.dispose();
      return data;
    };
    const all = await rowsOf(385);
    for (const count of [1, 95, 96, 97, 383, 384])
      t.deepEqual(await rowsOf(count), all.subarray(0, count), `${count} rows`);
    dispose(given);
  },
);

for (const rows of [383, 384, 385, 769])
  test.serial(`gradients of ${rows} rows are the sums over two parts of them`, async (t) => {
    const given = inputs(rows, 5, 26_744);
    const { x, weight, targets } = given;
    const part = (from: number, to: number): Tensor =>
      linearCrossEntropy(ops.slice(x, 0, from, to), weight, ops.slice(targets, 0, from, to), {
        reduction: "sum",
      });
    const whole = await evaluate([x, weight], () => part(0, rows));
    const parts = await evaluate([x, weight], () => ops.add(part(0, 150), part(150, rows)));
    const problems = whole.flatMap((computed, i) =>
      difference(
        `${i}`,
        computed,
        parts[i]!,
        toleranceOf("float32", 400, magnitude(parts[i]!.data)),
      ),
    );
    t.deepEqual(problems, []);
    dispose(given);
  });

test.serial("a tied table gets both gradients", async (t) => {
  const { x, weight, ...rest } = inputs(40, 16, 77);
  const ids = tensor(
    Int32Array.from({ length: 40 }, (_, i) => (i * 5) % 77),
    { shape: [40] },
  );
  const tied = await evaluate([weight], () =>
    linearCrossEntropy(embedding(weight, ids), weight, rest.targets),
  );
  const unfused = await evaluate([weight], () =>
    crossEntropy(linear(embedding(weight, ids), weight), rest.targets),
  );
  t.deepEqual(
    tied.flatMap((computed, i) =>
      difference(
        `${i}`,
        computed,
        unfused[i]!,
        toleranceOf("float32", 100, magnitude(unfused[i]!.data)),
      ),
    ),
    [],
  );
  dispose({ x, weight, ids, ...rest });
});

test.serial("frozen inputs get no gradient, the others the same one", async (t) => {
  const given = inputs(30, 8, 50);
  const { x, weight, bias, targets } = given;
  const loss = (): Tensor => linearCrossEntropy(x, weight, targets, { bias });
  const [value, ...all] = await evaluate([x, weight, bias], loss);
  for (const [i, watched] of [x, weight, bias].entries()) {
    const [alone, gradient] = await evaluate([watched], loss);
    t.deepEqual(alone, value);
    t.deepEqual(
      difference(`${i}`, gradient!, all[i]!, toleranceOf("float32", 1, magnitude(all[i]!.data))),
      [],
    );
  }
  dispose(given);
});

test.serial("the upstream gradient scales", async (t) => {
  const given = inputs(10, 8, 50);
  const { x, weight, targets } = given;
  const once = await evaluate([x, weight], () => linearCrossEntropy(x, weight, targets));
  const tripled = await evaluate([x, weight], () =>
    ops.multiply(linearCrossEntropy(x, weight, targets), 3),
  );
  for (const i of [1, 2])
    t.deepEqual(
      difference(
        `${i}`,
        tripled[i]!,
        { ...once[i]!, data: once[i]!.data.map((g) => 3 * g) },
        toleranceOf("float32", 1, magnitude(tripled[i]!.data)),
      ),
      [],
    );
  dispose(given);
});

test.serial("the largest logit is far from where it was looked for first", async (t) => {
  // Scores rise from class to class in one row and fall in another. The reference is float64: crossEntropy in float32
  // rounds its log-sum, of 2,000, before it makes probabilities.
  const classes = 3_000;
  const targets = tensor([classes - 2, 1, 5], { dtype: "int32" });
  const [single, double] = (["float32", "float64"] as const).map((dtype) => ({
    x: tensor([1, -1, 0.015625], { shape: [3, 1], dtype }),
    weight: tensor(
      Float64Array.from({ length: classes }, (_, i) => (i - classes / 2) * 1.5),
      { shape: [classes, 1], dtype },
    ),
  }));
  const { x, weight } = single!;
  const fused = await evaluate([x, weight], () => linearCrossEntropy(x, weight, targets));
  const unfused = await evaluate([double!.x, double!.weight], () =>
    crossEntropy(linear(double!.x, double!.weight), targets),
  );
  t.deepEqual(
    fused.flatMap((computed, i) => {
      const scale = i === 1 ? 1.5 * classes : magnitude(unfused[i]!.data);
      return difference(`${i}`, computed, unfused[i]!, toleranceOf("float32", 10, scale));
    }),
    [],
  );
  dispose({ x, weight, targets });
  dispose(double!);
});

test.serial("hidden classes: a bias of minus infinity", async (t) => {
  const { bias, ...given } = inputs(5, 4, 400);
  const hidden = tensor(
    Float32Array.from({ length: 400 }, (_, i) => (i < 390 ? -Infinity : 0)),
    { shape: [400] },
  );
  const targets = tensor([390, 399, 395, 391, 392], { dtype: "int32" });
  const { x, weight } = given;
  const fused = await evaluate([x, weight], () =>
    linearCrossEntropy(x, weight, targets, { bias: hidden }),
  );
  const unfused = await evaluate([x, weight], () =>
    crossEntropy(linear(x, weight, hidden), targets),
  );
  t.deepEqual(
    fused.flatMap((computed, i) =>
      difference(
        `${i}`,
        computed,
        unfused[i]!,
        toleranceOf("float32", 100, magnitude(unfused[i]!.data)),
      ),
    ),
    [],
  );
  dispose({ bias, hidden, ...given });
  targets.dispose();
});

test.serial(
  "what is not finite stays in its row; rows that do not count are not read",
  async (t) => {
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      const x = tensor([1, 2, bad, 1, 0.5, -1], { shape: [3, 2] });
      const weight = tensor([1, 2, 3, 4, 5, 6], { shape: [3, 2] });
      const counted = tensor([0, 1, 2], { dtype: "int32" });
      const ignored = tensor([0, -100, 2], { dtype: "int32" });
      const losses = linearCrossEntropy(x, weight, counted, { reduction: "none" });
      const { data } = await download(losses);
      t.deepEqual([...data].map(Number.isFinite), [true, false, true]);
      const [loss, xGrad, weightGrad] = await evaluate([x, weight], () =>
        linearCrossEntropy(x, weight, ignored),
      );
      for (const { data } of [loss!, xGrad!, weightGrad!]) t.true(data.every(Number.isFinite));
      t.deepEqual([...xGrad!.data.subarray(2, 4)], [0, 0]);
      dispose({ x, weight, counted, ignored, losses });
    }
  },
);

test.serial("targets outside the classes are faults", async (t) => {
  const { targets, ...given } = inputs(4, 3, 7);
  for (const bad of [7, -1, 2 ** 31 - 1, -(2 ** 31)]) {
    const hostile = tensor([1, bad, 2, -100], { dtype: "int32" });
    const { loss, gradients } = tidy(() =>
      valueAndGrad([given.x, given.weight], () =>
        linearCrossEntropy(given.x, given.weight, hostile),
      ),
    );
    for (const result of [loss, ...gradients.values()]) {
      await t.throwsAsync(result.data(), {
        message: new RegExp(`targets\\[1\\] = ${bad} must be in \\[0, 7\\)`),
      });
      result.dispose();
    }
    hostile.dispose();
  }
  dispose({ targets, ...given });
});

test.serial("beyond its outputs a call takes at most 64 MB", async (t) => {
  for (const [rows, width, classes] of [
    [400, 128, 26_744],
    [7, 4, 1_200_000],
    [200, 1_024, 9_000],
    [100, 8, 150_000],
  ] as const) {
    const given = inputs(rows, width, classes);
    const { x, weight, targets } = given;
    await x.data();
    resetPeakMemory();
    const before = memory().bytes;
    const { loss, gradients } = tidy(() =>
      valueAndGrad([x, weight], () => linearCrossEntropy(x, weight, targets)),
    );
    const outputs = 4 * (rows * width + classes * width);
    t.true(memory().peakBytes - before - outputs <= 64_000_000, `${rows} x ${width} x ${classes}`);
    dispose({ loss, ...Object.fromEntries([...gradients.values()].map((g, i) => [i, g])) });
    resetPeakMemory();
    const loss2 = noGrad(() => linearCrossEntropy(x, weight, targets));
    t.true(
      memory().peakBytes - before <= 16_000_000,
      `${rows} x ${width} x ${classes}, evaluation`,
    );
    loss2.dispose();
    dispose(given);
  }
});

test.serial("wrong calls say what is wrong", (t) => {
  const { x, weight, bias, targets, weights } = inputs(4, 3, 7);
  const wrong = tensor([1, 2], { dtype: "int32" });
  const says = (message: RegExp, call: () => unknown): void =>
    void t.throws(() => tidy(() => void call()), { message });
  says(/weight must be \[classes, width\], got \[7\]/, () => linearCrossEntropy(x, bias, targets));
  says(/same width \(4 vs 3\)/, () => linearCrossEntropy(ops.transpose(x), weight, targets));
  says(/targets \[2\] must be \[4\], one target for each row of x/, () =>
    linearCrossEntropy(x, weight, wrong),
  );
  says(/target_weights \[4\].* must have the same shape/, () =>
    linearCrossEntropy(x, weight, ops.reshape(targets, [4, 1]), { targetWeights: weights }),
  );
  says(/softCap must be positive/, () => linearCrossEntropy(x, weight, targets, { softCap: 0 }));
  says(/label_smoothing must be a number from 0 to 1/, () =>
    linearCrossEntropy(x, weight, targets, { labelSmoothing: 2 }),
  );
  says(/reduction must be "none" or "sum" or "mean", got "avg"/, () =>
    linearCrossEntropy(x, weight, targets, { reduction: "avg" as "mean" }),
  );
  const error = t.throws(() =>
    tidy(() =>
      valueAndGrad([x], () =>
        ops.sum(linearCrossEntropy(x, weight, targets, { reduction: "none" })),
      ),
    ),
  );
  t.true(error instanceof UsageError);
  t.throws(
    () =>
      tidy(() =>
        valueAndGrad([weights], () => linearCrossEntropy(x, weight, targets, { weights })),
      ),
    { message: /weights and targetWeights have no gradient/ },
  );
  dispose({ x, weight, bias, targets, weights, wrong });
});
