/** Weights that are too large for their packs to be kept: products read them as they lie, or pack them each time. */
import test from "ava";
import { grad } from "../../src/autograd/index.js";
import {
  add,
  cast,
  Generator,
  linear,
  loraLinear,
  matmul,
  multiply,
  randn,
  sum,
} from "../../src/ops/index.js";
import { memory, synchronize, type Tensor, tidy } from "../../src/tensor/index.js";
import { distance } from "../nn/distance.js";

const [inWidth, outWidth, rank] = [300, 301, 3];

// Inner products; packs of the columns that a thread has; packs of all columns.
for (const rows of [1, 5, 37, 80, 300])
  test.serial(`${rows} rows, without and with an adapter`, async (t) => {
    const generator = new Generator(3);
    using x = randn([rows, inWidth], { generator });
    using weight = randn([outWidth, inWidth], { generator, std: inWidth ** -0.5 });
    using bias = randn([outWidth], { generator });
    using residual = randn([rows, outWidth], { generator });
    using a = randn([rank, inWidth], { generator, std: inWidth ** -0.5 });
    using b = randn([outWidth, rank], { generator });
    using cotangent = randn([rows, outWidth], { generator });
    await synchronize();
    const { bytes, tensors } = memory();

    const adapters = [{ a, b, scale: 2 }];
    const gradient = (body: () => Tensor): Tensor =>
      grad([x], () => sum(multiply(body(), cotangent))).get(x)!;
    const pairs = tidy(() => {
      const wide = (tensor: Tensor) => cast(tensor, "float64");
      const adapted = add(wide(weight), matmul(wide(b), wide(a), { scale: 2 }));
      const forward = (weight: Tensor) =>
        add(add(matmul(wide(x), weight, { transposeB: true }), wide(bias)), wide(residual));
      return {
        linear: [linear(x, weight, bias, { residual }), forward(wide(weight))],
        lora: [loraLinear(x, weight, bias, adapters, { residual }), forward(adapted)],
        linearGradient: [gradient(() => linear(x, weight)), matmul(wide(cotangent), wide(weight))],
        loraGradient: [
          gradient(() => loraLinear(x, weight, undefined, adapters)),
          matmul(wide(cotangent), adapted),
        ],
      };
    });
    for (const [name, [actual, expected]] of Object.entries(pairs)) {
      using rounded = cast(expected!, "float32");
      t.true((await distance(actual!, rounded)) < 1e-5, name);
      actual!.dispose();
      expected!.dispose();
    }
    await synchronize();
    t.is(memory().bytes, bytes, "no packs are left");
    t.is(memory().tensors, tensors);
  });
