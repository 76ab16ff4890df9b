/** An op that fails poisons what depends on it, and nothing else. */
import test from "ava";
import { Parameter } from "../../src/autograd/index.js";
import { NativeError } from "../../src/errors.js";
import {
  accumulate,
  add,
  embedding,
  gather,
  ones,
  reshape,
  sum,
  zeros,
} from "../../src/ops/index.js";
import { AdamW, SGD } from "../../src/optim/index.js";
import { memory, type Tensor, tensor, tidy } from "../../src/tensor/index.js";

const ids = (...values: number[]): Tensor => tensor(values, { dtype: "int32" });
const poison = (): Tensor => embedding(ones([4, 2]), ids(3, 4));
const failed = { instanceOf: NativeError, code: "ERR_NATIVE" } as const;

test("the read names the op, its shapes, the index, its value and the limit", async (t) => {
  const table = ones([26_744, 8]);
  const error = await t.throwsAsync(
    () =>
      embedding(
        table,
        tensor(
          [
            [1, 2, 3],
            [4, 26_744, -7],
          ],
          { dtype: "int32" },
        ),
      ).data(),
    failed,
  );
  t.regex(
    error.message,
    /^cpu failed at op #\d+ embedding\(tables \[26744, 8\], ids \[2, 3\]\): ids\[4\] = 26744 must be in \[0, 26744\)/,
  );
  t.regex(
    error.message,
    /found by data\(\) of Tensor\(float32 \[2, 3, 8\]\)\); USER_LLM_SYNC=1 shows the call$/,
  );
});

test("the stack of the read is in the cause", async (t) => {
  const error = await t.throwsAsync(() => poison().toArray(), failed);
  t.regex((error.cause as Error).stack!, /faults\.test\.ts/);
});

test("everything derived fails at its read, with the first message", async (t) => {
  const first = poison();
  const derived = sum(add(reshape(first, [4]), 1));
  const [a, b] = await Promise.all(
    [first, derived].map((tensor) => t.throwsAsync(() => tensor.data(), failed)),
  );
  const cause = (error: Error | undefined) => error!.message.split(" (found by")[0];
  t.is(cause(a), cause(b));
});

test("extreme values are refused like others", async (t) => {
  for (const value of [-1, -(2 ** 31), 4, 2 ** 31 - 1])
    await t.throwsAsync(() => embedding(ones([4, 2]), ids(0, value)).data(), {
      ...failed,
      message: new RegExp(`ids\\[1\\] = ${value} must be in \\[0, 4\\)`),
    });
});

test("independent tensors and later ops are fine", async (t) => {
  const before = ones([2]);
  const bad = poison();
  const after = add(before, 1);
  t.deepEqual(await after.toArray(), [2, 2]);
  t.deepEqual(await embedding(ones([4, 2]), ids(3)).toArray(), [[1, 1]]);
  await t.throwsAsync(() => bad.data(), failed);
});

test("memory of a poisoned tensor is not poisoned for the next", async (t) => {
  for (let i = 0; i < 20; i++) {
    const bad = poison();
    bad.dispose();
    const good = zeros([2, 2]);
    t.deepEqual(await good.toArray(), [
      [0, 0],
      [0, 0],
    ]);
    good.dispose();
  }
});

test("a poisoned value poisons the sum that it is added to", async (t) => {
  const target = zeros([2, 2]);
  accumulate(target, poison());
  await t.throwsAsync(() => target.data(), failed);
});

test("several faults in one op: the first position is reported", async (t) => {
  const index = tensor(
    Int32Array.from({ length: 100_000 }, (_, i) => (i % 977 === 976 ? 9 : 1)),
    {
      shape: [100_000, 1],
    },
  );
  const x = ones([100_000, 3]);
  for (let i = 0; i < 5; i++)
    await t.throwsAsync(() => gather(x, index, 1).data(), {
      ...failed,
      message: /index\[976\] = 9 must be in \[0, 3\)/,
    });
});

for (const [name, make] of [
  ["AdamW", (parameters: Parameter[]) => new AdamW(parameters)],
  ["SGD", (parameters: Parameter[]) => new SGD(parameters, { learningRate: 0.1, momentum: 0.9 })],
] as const)
  test(`a step of ${name} with a poisoned gradient changes nothing`, async (t) => {
    const [a, b] = [new Parameter(ones([2, 2])), new Parameter(ones([3]))];
    const optimizer = make([a, b]);
    const good = (): Map<Parameter, Tensor> =>
      new Map([
        [a, ones([2, 2])],
        [b, ones([3])],
      ]);
    tidy(() => void optimizer.step(good()));
    const expected = [await a.value.data(), await b.value.data()];
    tidy(() => void optimizer.step(good().set(a, poison())));
    t.deepEqual([await a.value.data(), await b.value.data()], expected);
    tidy(() => void optimizer.step(good()));
    t.true((await a.value.data()).every((value) => value < expected[0]![0]!));
    optimizer.dispose();
  });

test.serial("a rejected read leaks nothing", async (t) => {
  const before = memory().tensors;
  const bad = tidy(poison);
  await t.throwsAsync(() => bad.data(), failed);
  bad.dispose();
  t.is(memory().tensors, before);
});
