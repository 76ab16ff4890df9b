import test from "ava";
import { grad, gradcheck, Parameter, valueAndGrad } from "../../src/autograd/index.js";
import { ShapeError, UsageError } from "../../src/errors.js";
import {
  add,
  argmax,
  divide,
  exp,
  matmul,
  multiply,
  noGrad,
  ones,
  reshape,
  softmax,
  sum,
  zeros,
} from "../../src/ops/index.js";
import { memory, type Tensor, tensor, tidy } from "../../src/tensor/index.js";

let before: number;
test.beforeEach(() => {
  before = memory().tensors;
});
/** Tensors made since the test began. */
const alive = (): number => memory().tensors - before;

const vector = (...values: number[]): Tensor => tensor(values, { dtype: "float64" });

test.serial("loss and gradient belong to the caller, everything else is freed", async (t) => {
  const x = vector(1, 2, 3);
  const { loss, gradients } = valueAndGrad([x], () => sum(multiply(x, exp(x))));
  t.is(alive(), 3);
  t.is(gradients.size, 1);
  const expected = [1, 2, 3].map((value) => (1 + value) * Math.exp(value));
  const actual = await gradients.get(x)!.data();
  t.true(actual.every((value, i) => Math.abs(value - expected[i]!) < 1e-12));
  for (const tensor of [x, loss, gradients.get(x)!]) tensor.dispose();
  t.is(alive(), 0);
});

test.serial("an enclosing tidy owns them", (t) => {
  const x = vector(1, 2);
  tidy(() => void valueAndGrad([x], () => sum(x)));
  t.is(alive(), 1);
  x.dispose();
});

test.serial("parameters are seen through their value", async (t) => {
  const w = new Parameter(vector(2, 3));
  const { loss, gradients } = valueAndGrad([w], () => sum(multiply(w.value, w.value)));
  t.is(await loss.item(), 13);
  t.deepEqual(await gradients.get(w)!.toArray(), [4, 6]);
  for (const tensor of [loss, gradients.get(w)!, w.value]) tensor.dispose();
});

test.serial("a parameter used in many places sums its gradients", async (t) => {
  const x = vector(2);
  const gradients = grad([x], () => {
    let y = multiply(x, x);
    for (let i = 0; i < 4; i++) y = add(y, x);
    return sum(multiply(y, x));
  });
  t.deepEqual(await gradients.get(x)!.toArray(), [3 * 4 + 8 * 2]);
  gradients.get(x)!.dispose();
  x.dispose();
  t.is(alive(), 0);
});

test.serial("both operands may be the same tensor", async (t) => {
  const x = tensor([[1, 2]], { dtype: "float64" });
  const gradients = grad([x], () => reshape(matmul(x, x, { transposeB: true }), []));
  t.deepEqual(await gradients.get(x)!.toArray(), [[2, 4]]);
  gradients.get(x)!.dispose();
  x.dispose();
});

test.serial("a parameter listed twice has one gradient", async (t) => {
  const x = vector(3);
  const gradients = grad([x, x], () => sum(multiply(x, 2)));
  t.is(gradients.size, 1);
  t.deepEqual(await gradients.get(x)!.toArray(), [2]);
  gradients.get(x)!.dispose();
  x.dispose();
  t.is(alive(), 0);
});

test.serial("parameters that the loss does not depend on have no gradient", (t) => {
  const [x, y] = [vector(1), vector(2)];
  const { loss, gradients } = valueAndGrad([x, y], () => {
    exp(y);
    return sum(exp(x));
  });
  t.deepEqual([...gradients.keys()], [x]);
  for (const tensor of [x, y, loss, gradients.get(x)!]) tensor.dispose();
  t.is(alive(), 0);
});

test.serial("a loss that depends on nothing has no gradients", async (t) => {
  const x = vector(1);
  const { loss, gradients } = valueAndGrad([x], () => sum(vector(4, 5)));
  t.is(gradients.size, 0);
  t.is(await loss.item(), 9);
  for (const tensor of [x, loss]) tensor.dispose();
  t.is(alive(), 0);
});

test.serial("no parameters at all", async (t) => {
  const { loss, gradients } = valueAndGrad([], () => sum(vector(4, 5)));
  t.is(gradients.size, 0);
  t.is(await loss.item(), 9);
  loss.dispose();
});

test.serial("the loss may be a parameter", async (t) => {
  const x = vector(5);
  const { loss, gradients } = valueAndGrad([x], () => x);
  t.is(loss, x);
  t.deepEqual(await gradients.get(x)!.toArray(), [1]);
  gradients.get(x)!.dispose();
  const again = grad([x], () => x);
  t.false(x.disposed);
  again.get(x)!.dispose();
  x.dispose();
  t.is(alive(), 0);
});

test.serial("other tensors of the result come back as they are", async (t) => {
  const x = vector(1, 2, 3);
  const result = valueAndGrad([x], () => {
    const y = softmax(x);
    return { loss: sum(multiply(y, y)), predictions: y, best: argmax(y, 0), name: "batch" };
  });
  t.is(result.name, "batch");
  t.is((await result.predictions.data()).length, 3);
  t.is(await result.best.item(), 2);
  t.is(alive(), 5);
  for (const tensor of [
    x,
    result.loss,
    result.predictions,
    result.best,
    ...result.gradients.values(),
  ])
    tensor.dispose();
  t.is(alive(), 0);
});

test.serial("noGrad and integers cut the way", async (t) => {
  const x = vector(1, 2);
  const gradients = grad([x], () => {
    const constant = noGrad(() => exp(x));
    return sum(multiply(x, constant));
  });
  const expected = [Math.E, Math.E ** 2];
  const actual = await gradients.get(x)!.data();
  t.true(actual.every((value, i) => Math.abs(value - expected[i]!) < 1e-12));
  gradients.get(x)!.dispose();
  x.dispose();
});

test.serial("views pass gradients on", async (t) => {
  const x = vector(1, 2, 3, 4);
  const gradients = grad([x], () => {
    const y = reshape(x, [2, 2]);
    return sum(matmul(y, reshape(y, [2, 2])));
  });
  t.deepEqual(await gradients.get(x)!.toArray(), [7, 11, 9, 13]);
  gradients.get(x)!.dispose();
  x.dispose();
  t.is(alive(), 0);
});

test.serial("nested calls are independent", async (t) => {
  const x = vector(3);
  const { loss, gradients } = valueAndGrad([x], () => {
    const y = multiply(x, x);
    const inner = grad([x], () => sum(multiply(multiply(x, x), x))); // 27, a constant outside
    return sum(multiply(y, inner.get(x)!));
  });
  t.is(await loss.item(), 243);
  t.deepEqual(await gradients.get(x)!.toArray(), [162]);
  for (const tensor of [x, loss, ...gradients.values()]) tensor.dispose();
  t.is(alive(), 0);
});

test.serial("a body that throws leaves nothing behind, and recording stops", (t) => {
  const x = vector(1);
  t.throws(
    () =>
      valueAndGrad([x], () => {
        exp(x);
        throw new Error("inside");
      }),
    { message: "inside" },
  );
  t.is(alive(), 1);
  const y = exp(x);
  t.is(y.trace, undefined);
  for (const tensor of [x, y]) tensor.dispose();
});

test.serial("misuse is named", (t) => {
  const x = vector(1, 2);
  t.throws(() => valueAndGrad([x], () => x), {
    instanceOf: ShapeError,
    message: "valueAndGrad: the loss must have one element, got [2]",
  });
  t.throws(() => valueAndGrad([x], (async () => sum(x)) as never), {
    instanceOf: UsageError,
    message: "valueAndGrad: the body returned a promise; it must be synchronous",
  });
  for (const result of [undefined, 3, {}, { loss: 3 }])
    t.throws(() => valueAndGrad([x], (() => result) as never), {
      instanceOf: UsageError,
      message: "valueAndGrad: the body must return the loss, a tensor",
    });
  const ids = tensor([1, 2], { dtype: "int32" });
  t.throws(() => valueAndGrad([ids], () => sum(x)), {
    instanceOf: UsageError,
    message: /Tensor\(int32 \[2\]\) is not differentiable; only float32 and float64 are/,
  });
  for (const tensor of [x, ids]) tensor.dispose();
  t.is(alive(), 0);
});

test.serial("what is saved lives until backward has used it, and not longer", (t) => {
  const x = ones([1 << 18]);
  const { bytes } = memory();
  let most = 0;
  const gradients = grad([x], () => {
    let y: Tensor = x;
    for (let i = 0; i < 10; i++) {
      y = add(y, 1);
      most = Math.max(most, memory().bytes - bytes);
    }
    return sum(y);
  });
  t.true(most <= 11 << 20, "additions save nothing, but their results live until the body returns");
  t.is(memory().bytes - bytes, 1 << 20);
  for (const tensor of [x, ...gradients.values()]) tensor.dispose();
  t.is(alive(), 0);
});

test.serial("an empty parameter has an empty gradient", async (t) => {
  const x = zeros([0, 3]);
  const gradients = grad([x], () => sum(exp(x)));
  t.deepEqual(gradients.get(x)!.shape, [0, 3]);
  for (const tensor of [x, ...gradients.values()]) tensor.dispose();
});

test.serial("gradcheck agrees with right gradients", async (t) => {
  const [x, y] = [vector(1, 2, 3), vector(0.5, -1, 2)];
  const { passed, worst } = await gradcheck(
    (a, b) => [divide(exp(a), add(multiply(b, b), 1)), softmax(a)],
    [x, y],
  );
  t.true(passed, JSON.stringify(worst));
  for (const tensor of [x, y]) tensor.dispose();
  t.is(alive(), 0);
});

test.serial("gradcheck finds a wrong gradient and where", async (t) => {
  const x = vector(1, 2, 3);
  // A constant in the place of the second factor: half of the gradient of x².
  const { passed, worst } = await gradcheck(
    (a) =>
      multiply(
        a,
        noGrad(() => multiply(a, 1)),
      ),
    [x],
  );
  t.false(passed);
  t.is(worst?.input, 0);
  t.true(Math.abs(worst!.difference - 2 * worst!.gradient) < 1e-6);
  x.dispose();
  t.is(alive(), 0);
});

test.serial("gradcheck needs float64", async (t) => {
  const x = ones([2]);
  await t.throwsAsync(() => gradcheck((a) => exp(a), [x]), {
    instanceOf: UsageError,
    message: "gradcheck: inputs[0] is Tensor(float32 [2]); differences need float64",
  });
  x.dispose();
});
