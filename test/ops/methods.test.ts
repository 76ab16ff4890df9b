import test from "ava";
import {
  add,
  cast,
  gelu,
  matmul,
  mean,
  multiply,
  reshape,
  softmax,
  sum,
  transpose,
} from "../../src/ops/index.js";
import { type Tensor, tensor } from "../../src/tensor/index.js";

test("chained methods are the functions", async (t) => {
  const x = tensor([
    [1, -2, 3],
    [4, 5, -6],
  ]);
  const pairs: readonly (readonly [Tensor, Tensor])[] = [
    [
      x.matmul(x, { transposeB: true }).add(1).gelu(),
      gelu(add(matmul(x, x, { transposeB: true }), 1)),
    ],
    [x.transpose().reshape([-1]).multiply(2), multiply(reshape(transpose(x), [-1]), 2)],
    [x.softmax().sum(0, { keepDims: true }), sum(softmax(x), 0, { keepDims: true })],
    [x.mean(-1).cast("int32"), cast(mean(x, -1), "int32")],
  ];
  for (const [method, of] of pairs) {
    t.is(method.dtype, of.dtype);
    t.deepEqual(method.shape, of.shape);
    t.deepEqual(await method.toArray(), await of.toArray());
  }
  t.deepEqual(await x.subtract(x.square()).divide(x).negate().toArray(), [
    [-0, -3, 2],
    [3, 4, -7],
  ]);
  t.is(await x.max().item(), 5);
  t.is(await x.relu().square().sqrt().max().item(), 5);
  t.is(await tensor(0).exp().log().tanh().item(), 0);
});

test("methods are not enumerable", (t) => {
  t.false(Object.keys(Object.getPrototypeOf(tensor(1))).includes("add"));
});
