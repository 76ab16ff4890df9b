/** What the case lists leave out of data movement and reductions: every dtype, hostile values, NaN, messages. */
import test from "ava";
import * as ops from "../../src/ops/index.js";
import { dtypes } from "../../src/tensor/dtype.js";
import { memory } from "../../src/tensor/memory.js";
import { type Tensor, tensor } from "../../src/tensor/tensor.js";

const {
  argmax,
  broadcastTo,
  chunk,
  concat,
  gather,
  max,
  min,
  pad,
  slice,
  split,
  sum,
  topK,
  transpose,
} = ops;

const counting = (shape: number[]): Tensor => {
  const size = shape.reduce((a, b) => a * b, 1);
  return tensor(
    Float32Array.from({ length: size }, (_, i) => i % 101),
    { shape },
  );
};

test("every dtype moves alike", async (t) => {
  const index = [
    [2, 0, 1],
    [1, 1, 0],
  ];
  const moves: Record<string, (x: Tensor) => Tensor> = {
    concat: (x) => concat([x, x], 1),
    "slice of columns": (x) => slice(x, 1, 3, 36),
    "slice of one column": (x) => slice(x, -1, 3, 4),
    "slice of rows": (x) => slice(x, 0, 1, -1),
    pad: (x) => pad(x, 1, 2, 1),
    split: (x) => split(x, 16, 1)[2]!,
    transpose: (x) => transpose(x),
    "transpose of runs": (x) => transpose(ops.reshape(x, [5, 3, 37]), [1, 0, 2]),
    broadcastTo: (x) => broadcastTo(ops.reshape(x, [15, 1, 37]), [15, 2, 37]),
    "broadcastTo of one": (x) => broadcastTo(slice(x, 1, 1, 2), [15, 9]),
    gather: (x) => gather(x, tensor(index, { dtype: "int32" }), 0),
  };
  const x = counting([15, 37]);
  const data = await x.data();
  for (const [name, move] of Object.entries(moves)) {
    const moved = move(x);
    const expected = await moved.toArray();
    for (const dtype of dtypes) {
      const result = move(tensor(Array.from(data), { shape: x.shape, dtype }));
      t.is(result.dtype, dtype);
      t.deepEqual(result.shape, moved.shape);
      t.deepEqual(await result.toArray(), expected, `${name} of ${dtype}`);
    }
  }
});

test("a slice of the leading dimension shares memory", (t) => {
  const x = ops.zeros([1000, 1000]);
  const held = memory().bytes;
  const view = slice(x, 0, 10, 20);
  const parts = split(x, 100);
  t.is(memory().bytes, held);
  t.deepEqual(view.shape, [10, 1000]);
  t.is(parts.length, 10);
});

test("chunk cuts as PyTorch's", (t) => {
  const lengths = (n: number, chunks: number) =>
    chunk(counting([n]), chunks).map(({ size }) => size);
  t.deepEqual(lengths(10, 4), [3, 3, 3, 1]);
  t.deepEqual(lengths(6, 4), [2, 2, 2]);
  t.deepEqual(lengths(0, 2), [0, 0]);
});

test("an index out of range is named, and nothing is read there", async (t) => {
  const x = counting([3, 4]);
  for (const value of [3, -1, 2 ** 31 - 1]) {
    const index = tensor([[0, 1, 2, value]], { dtype: "int32" });
    const message = new RegExp(`index\\[3\\] = ${value} must be in \\[0, 3\\)`);
    await t.throwsAsync(gather(x, index, 0).data(), { message });
  }
});

test("NaN is the largest, and wins every maximum and minimum", async (t) => {
  for (const dtype of ["float32", "float64"] as const)
    for (const length of [3, 70, 5000])
      for (const at of [0, 1, length - 1]) {
        const values = Array.from({ length }, (_, i) => (i === at ? NaN : Math.sin(i)));
        const x = tensor([values, values.map((v) => (Number.isNaN(v) ? 9 : v))], { dtype });
        for (const reduce of [max, min]) {
          const rows = (await reduce(x, 1).data()) as Float32Array;
          t.deepEqual([Number.isNaN(rows[0]), Number.isNaN(rows[1])], [true, false]);
          t.true(Number.isNaN(await reduce(x).item()));
          const columns = (await reduce(x, 0).data()) as Float32Array;
          t.deepEqual(
            Array.from(columns.keys()).filter((i) => Number.isNaN(columns[i])),
            [at],
          );
        }
        t.deepEqual(await argmax(x, 1).toArray(), [at, at]);
        const { values: top, indices } = topK(x, 2);
        t.deepEqual(
          ((await indices.toArray()) as number[][]).map((row) => row[0]),
          [at, at],
        );
        t.true(Number.isNaN((await top.data())[0]));
      }
  const columns = tensor([
    [1, NaN],
    [NaN, 5],
    [3, NaN],
  ]);
  t.deepEqual(await argmax(columns, 0).toArray(), [1, 0]);
  t.deepEqual(await topK(tensor([NaN, 1, NaN, Infinity, NaN]), 4).indices.toArray(), [0, 2, 4, 3]);
  t.deepEqual(await topK(tensor([-Infinity, -Infinity, -Infinity]), 2).indices.toArray(), [0, 1]);
});

test("equal elements share the gradient of a maximum", async (t) => {
  const x = tensor([
    [1, 3, 3],
    [2, 2, 2],
  ]);
  const { grad } = await import("../../src/autograd/value-and-grad.js");
  const of = async (reduce: () => Tensor) => grad([x], reduce).get(x)!.toArray();
  const third = Math.fround(1 / 3);
  t.deepEqual(await of(() => sum(max(x, 1))), [
    [0, 0.5, 0.5],
    [third, third, third],
  ]);
  t.deepEqual(await of(() => sum(max(x, 0))), [
    [0, 1, 1],
    [1, 0, 0],
  ]);
  t.deepEqual(await of(() => min(x)), [
    [1, 0, 0],
    [0, 0, 0],
  ]);
});

test("int32 sums are exact, and overflow is a fault", async (t) => {
  const x = tensor(
    [
      [2 ** 30, 2 ** 30 - 1],
      [-5, 3],
    ],
    { dtype: "int32" },
  );
  t.deepEqual(await sum(x, 1).toArray(), [2 ** 31 - 1, -2]);
  t.is(await sum(x).item(), 2 ** 31 - 3);
  const large = tensor([2 ** 31 - 1, 1], { dtype: "int32" });
  await t.throwsAsync(sum(large).item(), { message: /2147483648, which does not fit int32/ });
});

test("float32 sums stay accurate", async (t) => {
  const n = 1 << 22;
  const values = new Float32Array(n).fill(0.1);
  const exact = Math.fround(0.1) * n;
  const x = tensor(values);
  t.true(Math.abs((await sum(x).item()) / exact - 1) < 1e-6);
  const columns = await sum(tensor(values, { shape: [n / 4, 4] }), 0).data();
  for (const column of columns) t.true(Math.abs(column / (exact / 4) - 1) < 1e-6);
});

test("sums and means of nothing", async (t) => {
  const nothing = tensor(new Float32Array(0), { shape: [2, 0] });
  t.deepEqual(await sum(nothing, 1).toArray(), [0, 0]);
  t.true(Number.isNaN(await ops.mean(nothing).item()));
  t.deepEqual(sum(nothing, 0).shape, [0]);
  t.throws(() => max(nothing, 1), { message: "max: x [2, 0] has no elements to choose from" });
});

test("errors name the op, the shapes and the rule", (t) => {
  const x = counting([2, 3]);
  const fails = (body: () => unknown, message: string) => t.throws(body, { message });
  fails(
    () => concat([x, counting([3, 3])], 1),
    "concat: parts [2, 3] and [3, 3] must agree in all dimensions but 1",
  );
  fails(
    () => concat([x, tensor([[1, 2, 3]], { dtype: "int32" })]),
    "concat: parts are float32 and int32; they must be the same",
  );
  fails(() => concat([]), "concat: needs at least one tensor");
  fails(() => slice(x, 1, 2, 4), "slice: [2, 4) is not a range of dimension 1 of x [2, 3]");
  fails(() => slice(x, 0, -3), "slice: [-3, 2) is not a range of dimension 0 of x [2, 3]");
  fails(() => slice(x, 2, 0), "slice: axis 2 is not a dimension of x [2, 3] (rank 2)");
  fails(() => split(x, [1, 3], 1), "split: sizes [1, 3] must add up to dimension 1 of x [2, 3]");
  fails(
    () => transpose(x, [0, 0]),
    "transpose: axes [0, 0] must name each dimension of x [2, 3] once",
  );
  fails(() => broadcastTo(x, [2, 2, 4]), "broadcast_to: x [2, 3] does not broadcast to [2, 2, 4]");
  fails(
    () => gather(x, tensor([[0], [0], [0]], { dtype: "int32" }), 1),
    "gather: index [3, 1] must have the rank of x [2, 3] and be no larger in any dimension but 1",
  );
  fails(() => topK(x, 4), "top_k: x [2, 3] has no 4 elements in its last dimension");
  fails(() => sum(x, [0, -2]), "sum: axis -2 names a dimension of x [2, 3] twice");
  fails(() => sum(x, 2), "sum: axis 2 is not a dimension of x [2, 3]");
});

test("arange and causalMask", async (t) => {
  t.deepEqual(await ops.arange(4).data(), Int32Array.of(0, 1, 2, 3));
  t.deepEqual(await ops.arange(10, 4, -2).data(), Int32Array.of(10, 8, 6));
  t.deepEqual(await ops.arange(0, 1, 0.25).data(), Float32Array.of(0, 0.25, 0.5, 0.75));
  t.is(ops.arange(3, { dtype: "float64" }).dtype, "float64");
  t.is(ops.arange(5, 5).size, 0);
  t.throws(() => ops.arange(0, 1, 0), {
    message: "arange: from 0 to 1 in steps of 0 does not end",
  });
  t.deepEqual(await ops.causalMask(3).toArray(), [
    [1, 0, 0],
    [1, 1, 0],
    [1, 1, 1],
  ]);
});
