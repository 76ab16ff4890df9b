import { inspect } from "node:util";
import test from "ava";
import { DTypeError, ShapeError, UsageError } from "../../src/errors.js";
import { full, ones, reshape, softmax, squeeze, unsqueeze, zeros } from "../../src/ops/index.js";
import {
  type DType,
  dtypes,
  fromBFloat16,
  memory,
  Tensor,
  tensor,
  toBFloat16,
} from "../../src/tensor/index.js";
import { viewOfTensor } from "../../src/tensor/tensor.js";

test("a tensor from nested arrays", async (t) => {
  const x = tensor([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  t.is(x.dtype, "float32");
  t.deepEqual(x.shape, [2, 3]);
  t.is(x.size, 6);
  t.is(x.rank, 2);
  t.is(x.device, "cpu");
  t.deepEqual(await x.toArray(), [
    [1, 2, 3],
    [4, 5, 6],
  ]);
});

test("a tensor from a number is a scalar", async (t) => {
  const x = tensor(3.5);
  t.deepEqual(x.shape, []);
  t.is(await x.item(), 3.5);
  t.is(await x.toArray(), 3.5);
});

test("a tensor from a typed array has its dtype", async (t) => {
  const arrays = {
    float32: Float32Array.of(1.5, -2),
    bfloat16: toBFloat16([1.5, -2]),
    int32: Int32Array.of(1, -2),
    uint8: Uint8Array.of(1, 255),
    float64: Float64Array.of(0.1, -2),
  } satisfies Record<DType, unknown>;
  for (const dtype of dtypes) {
    const x = tensor(arrays[dtype]);
    t.is(x.dtype, dtype);
    t.deepEqual(x.shape, [2]);
    t.deepEqual(await x.dataAs(dtype), arrays[dtype]);
  }
});

test("the data is copied at the call", async (t) => {
  const data = Float32Array.of(1, 2);
  const x = tensor(data);
  data.fill(9);
  t.deepEqual(await x.toArray(), [1, 2]);
});

test("a typed array may start in the middle of its buffer", async (t) => {
  const x = tensor(Int32Array.of(1, 2, 3, 4).subarray(2), { shape: [1, 2] });
  t.deepEqual(await x.toArray(), [[3, 4]]);
});

test("dtype converts as JavaScript does", async (t) => {
  t.deepEqual(await tensor([1.9, -1.9], { dtype: "int32" }).toArray(), [1, -1]);
  t.deepEqual(await tensor([257, -1], { dtype: "uint8" }).toArray(), [1, 255]);
  t.deepEqual(await tensor([0.1], { dtype: "float64" }).toArray(), [0.1]);
  t.deepEqual(await tensor([1.00390625, 3], { dtype: "bfloat16" }).toArray(), [1, 3]);
});

test("bfloat16 rounds to nearest even and keeps NaN", (t) => {
  const values = [0, -0, 1, 1.00390625, 1.01171875, Infinity, -Infinity, Number.NaN, 3.4e38];
  const rounded = [0, -0, 1, 1, 1.015625, Infinity, -Infinity, Number.NaN, Infinity];
  t.deepEqual([...fromBFloat16(toBFloat16(values))], rounded);
});

test("empty tensors", async (t) => {
  t.deepEqual(await tensor([]).toArray(), []);
  t.deepEqual(await tensor([[], []]).toArray(), [[], []]);
  t.deepEqual(tensor([[], []]).shape, [2, 0]);
  t.deepEqual(await zeros([0, 3]).toArray(), []);
  t.is((await zeros([2, 0, 3]).data()).length, 0);
});

test("ragged arrays are refused", (t) => {
  const message = /^tensor: the arrays are ragged/;
  t.throws(() => tensor([[1, 2], [3]]), { instanceOf: ShapeError, message });
  t.throws(() => tensor([[1], 2]), { instanceOf: ShapeError, message });
  t.throws(() => tensor([1, [2]]), { instanceOf: ShapeError, message });
  t.throws(() => tensor([[], [1]]), { instanceOf: ShapeError, message });
  t.throws(() => tensor([[[1]], [[]]]), { instanceOf: ShapeError, message });
});

test("data that is not numbers is refused", (t) => {
  t.throws(() => tensor(["1"] as never), {
    instanceOf: UsageError,
    message: "tensor: nested arrays must hold numbers, got string",
  });
  for (const data of [null, undefined, {}, "1", new Int8Array(1), new BigInt64Array(1)])
    t.throws(() => tensor(data as never), {
      instanceOf: UsageError,
      message: /^tensor: data must be/,
    });
});

test("a shape that does not fit is refused", (t) => {
  t.throws(() => tensor([1, 2, 3], { shape: [2, 2] }), {
    instanceOf: ShapeError,
    message: "tensor: [2, 2] of float32 takes 16 bytes, got 12",
  });
  for (const shape of [[-1, -3], [1.5, 2], [Number.NaN], [Infinity], [2 ** 60]])
    t.throws(() => tensor([1, 2, 3], { shape }), { instanceOf: ShapeError });
  t.throws(() => tensor([1], { shape: new Array(9).fill(1) }), {
    instanceOf: ShapeError,
    message: "tensor: a tensor has at most 8 dimensions, got 9",
  });
  t.throws(() => tensor([1], { shape: new Array(100_000).fill(1) }), {
    instanceOf: ShapeError,
    message: "a tensor has at most 8 dimensions, got 100000",
  });
});

test("an unknown dtype is refused", (t) => {
  t.throws(() => tensor([1], { dtype: "float16" as never }), { instanceOf: DTypeError });
  t.throws(() => zeros([1], { dtype: "float16" as never }), {
    instanceOf: DTypeError,
    message: "float16 is not a dtype; there are float32, bfloat16, int32, uint8, float64",
  });
});

test("full, zeros, ones", async (t) => {
  t.deepEqual(await full([2, 1], 7).toArray(), [[7], [7]]);
  for (const dtype of dtypes) {
    t.deepEqual(await zeros([2], { dtype }).toArray(), [0, 0]);
    t.deepEqual(await ones([2], { dtype }).toArray(), [1, 1]);
  }
});

test("printing", (t) => {
  const x = zeros([2, 3]);
  t.is(`${x}`, "Tensor(float32 [2, 3])");
  t.is(inspect(x), "Tensor(float32 [2, 3])");
  x.dispose();
  t.is(`${x}`, "Tensor(float32 [2, 3], disposed)");
});

test("item needs exactly one element", async (t) => {
  t.is(await tensor([[4]]).item(), 4);
  t.is(await tensor([0.5], { dtype: "bfloat16" }).item(), 0.5);
  await t.throwsAsync(() => tensor([1, 2]).item(), {
    instanceOf: ShapeError,
    message: "item: [2] has 2 elements, not 1",
  });
  await t.throwsAsync(() => tensor([]).item(), { instanceOf: ShapeError });
});

test("dataAs refuses another dtype", async (t) => {
  await t.throwsAsync(() => tensor([1]).dataAs("int32"), {
    instanceOf: UsageError,
    message: "dataAs: the tensor is float32, not int32; cast it first",
  });
});

test("a disposed tensor is refused by name", async (t) => {
  const x = ones([2]);
  x.dispose();
  x.dispose();
  t.true(x.disposed);
  t.throws(() => softmax(x), {
    instanceOf: UsageError,
    message: "softmax: x Tensor(float32 [2], disposed) was disposed",
  });
  await t.throwsAsync(() => x.data(), {
    instanceOf: UsageError,
    message: "data: Tensor(float32 [2], disposed) was disposed",
  });
});

test("what is not a tensor is refused by name", (t) => {
  for (const [value, kind] of [
    [null, "null"],
    [undefined, "undefined"],
    [3, "number"],
    [[1], "object"],
  ] as const)
    t.throws(() => softmax(value as never), {
      instanceOf: UsageError,
      message: `softmax: x must be a tensor, got ${kind}`,
    });
});

test("a forged handle is refused", async (t) => {
  for (const handle of [0, -1, 1.5, Number.NaN, Infinity, 2 ** 53, 2 ** 60])
    await t.throwsAsync(() => new Tensor(handle, "float32", [1]).data(), {
      instanceOf: UsageError,
    });
});

test("disposing does not disturb what is queued", async (t) => {
  const x = tensor([2, 2, 2, 2]);
  const y = softmax(x);
  x.dispose();
  const reading = y.data();
  y.dispose();
  const noise = Array.from({ length: 50 }, () => full([4], 9));
  t.deepEqual(await reading, Float32Array.of(0.25, 0.25, 0.25, 0.25));
  for (const tensor of noise) tensor.dispose();
});

test("`using` disposes", (t) => {
  const before = memory().tensors;
  let outside: Tensor;
  {
    using x = ones([3]);
    outside = x;
  }
  t.true(outside.disposed);
  t.is(memory().tensors, before);
});

test.serial("a view shares the memory and outlives its source", async (t) => {
  const { bytes } = memory();
  const x = tensor([1, 2, 3, 4, 5, 6]);
  const held = memory().bytes - bytes;
  const view = viewOfTensor(x, [2, 2], 1);
  t.is(memory().bytes - bytes, held);
  x.dispose();
  t.is(memory().bytes - bytes, held);
  t.deepEqual(await view.toArray(), [
    [2, 3],
    [4, 5],
  ]);
  view.dispose();
  t.is(memory().bytes, bytes);
});

test("a view must fit", (t) => {
  const x = tensor([1, 2, 3, 4]);
  for (const [shape, offset] of [
    [[5], 0],
    [[2], 3],
    [[1], -1],
    [[1], 0.5],
    [[1], Number.NaN],
    [[-1], 0],
    [[2 ** 31, 2 ** 31], 0],
  ] as const)
    t.throws(() => viewOfTensor(x, shape, offset), { instanceOf: ShapeError, message: /^view: / });
  t.deepEqual(viewOfTensor(x, [0], 4).shape, [0]);
});

test("reshape", async (t) => {
  const x = tensor([1, 2, 3, 4, 5, 6]);
  t.deepEqual(await reshape(x, [3, 2]).toArray(), [
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  t.deepEqual(reshape(x, [2, -1]).shape, [2, 3]);
  t.deepEqual(reshape(x, [-1]).shape, [6]);
  t.deepEqual(reshape(zeros([0, 3]), [3, 0]).shape, [3, 0]);
  for (const shape of [[4], [-1, 4], [-1, -1], [7], []])
    t.throws(() => reshape(x, shape), {
      instanceOf: ShapeError,
      message: /^reshape: x \[6\] has 6 elements/,
    });
});

test("an empty tensor cannot be reshaped with a free dimension of any size", (t) => {
  t.throws(() => reshape(zeros([0, 3]), [0, -1]), {
    instanceOf: ShapeError,
    message: /^reshape: /,
  });
});

test("squeeze and unsqueeze", (t) => {
  const x = zeros([1, 3, 1]);
  t.deepEqual(squeeze(x).shape, [3]);
  t.deepEqual(squeeze(x, -1).shape, [1, 3]);
  t.deepEqual(squeeze(x, 0).shape, [3, 1]);
  t.throws(() => squeeze(x, 1), { instanceOf: ShapeError });
  t.throws(() => squeeze(x, 3), { instanceOf: ShapeError });
  t.deepEqual(unsqueeze(x, 0).shape, [1, 1, 3, 1]);
  t.deepEqual(unsqueeze(x, -1).shape, [1, 3, 1, 1]);
  t.throws(() => unsqueeze(x, 5), { instanceOf: ShapeError });
});
