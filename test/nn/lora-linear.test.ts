import test from "ava";
import {
  AdamW,
  add,
  dropout,
  Generator,
  Linear,
  LoraLinear,
  type LoraOptions,
  linear,
  multiply,
  randn,
  type Tensor,
  tidy,
  UsageError,
  valueAndGrad,
} from "../../src/index.js";
import { distance } from "./distance.js";

/** A layer whose adapter does something. */
function make(options: LoraOptions = {}, bias = true): LoraLinear {
  const generator = new Generator(7);
  const layer = new LoraLinear(new Linear(24, 40, { bias, generator }), { generator, ...options });
  layer.b.assign(randn([40, layer.rank], { generator }));
  return layer;
}

const composed = ({ base, a, b, scale }: LoraLinear, x: Tensor, input = x): Tensor =>
  add(base.forward(x), multiply(linear(linear(input, a.value), b.value), scale));

test("at first the layer is its base, exactly", async (t) => {
  const generator = new Generator(7);
  using layer = new LoraLinear(new Linear(24, 40, { generator }), { generator });
  using x = randn([5, 24]);
  using ours = layer.forward(x);
  using theirs = layer.base.forward(x);
  t.deepEqual(await ours.data(), await theirs.data());
  const limit = 1 / Math.sqrt(24);
  const a = await layer.a.value.dataAs("float32");
  t.true(a.every((value) => Math.abs(value) <= limit));
  t.true(a.some((value) => Math.abs(value) > 0.9 * limit));
});

test("equals the composed form: output and gradients", async (t) => {
  for (const bias of [true, false]) {
    using layer = make({ rank: 3, alpha: 5 }, bias);
    using x = randn([2, 7, 24]);
    using residual = randn([2, 7, 40]);
    using weights = randn([2, 7, 40]);
    t.is(layer.scale, 5 / 3);
    const leaves = [x, residual, layer.a, layer.b] as const;
    const ours = valueAndGrad(leaves, () => {
      const output = layer.forward(x, { residual });
      return { loss: multiply(output, weights).sum(), output };
    });
    const theirs = valueAndGrad(leaves, () => {
      const output = add(composed(layer, x), residual);
      return { loss: multiply(output, weights).sum(), output };
    });
    t.true((await distance(ours.output, theirs.output)) < 2e-6);
    for (const leaf of leaves)
      t.true((await distance(ours.gradients.get(leaf)!, theirs.gradients.get(leaf)!)) < 2e-6);
  }
});

test("the adapter sees dropout while training, the base never", async (t) => {
  using layer = make({ dropout: 0.5, generator: new Generator(11) });
  using x = randn([6, 24]);
  const { generator } = layer.dropout;
  const state = generator!.state();
  using ours = layer.forward(x);
  generator!.restore(state);
  using theirs = tidy(() => composed(layer, x, dropout(x, 0.5, { generator: generator! })));
  t.true((await distance(ours, theirs)) < 2e-6);
  layer.eval();
  using evaluated = layer.forward(x);
  using plain = tidy(() => composed(layer, x));
  t.true((await distance(evaluated, plain)) < 2e-6);
  t.true((await distance(ours, plain)) > 1e-2);
});

test("only the adapter is trained, and named as documented", (t) => {
  using layer = make();
  t.deepEqual(
    [...layer.namedParameters()].map(([name, { shape, trainable }]) => [name, shape, trainable]),
    [
      ["base.weight", [40, 24], false],
      ["base.bias", [40], false],
      ["a", [8, 24], true],
      ["b", [40, 8], true],
    ],
  );
  t.is(layer.scale, 2);
});

test("merging moves the adapter into the base", async (t) => {
  using layer = make();
  using x = randn([9, 24]);
  using before = layer.forward(x);
  using merged = layer.mergedWeight();
  using alone = linear(x, merged, layer.base.bias!.value);
  t.true((await distance(alone, before)) < 2e-6);
  t.is(layer.merge(), layer.base);
  using after = layer.base.forward(x);
  using both = layer.forward(x);
  t.true((await distance(after, before)) < 2e-6);
  t.deepEqual(await both.data(), await after.data());
});

test("a base in bfloat16 keeps its products, also when it is merged", async (t) => {
  const generator = new Generator(7);
  using layer = new LoraLinear(new Linear(24, 40, { precision: "bfloat16", generator }));
  using x = randn([9, 24], { generator });
  using first = layer.forward(x);
  using base = layer.base.forward(x);
  t.deepEqual(await first.data(), await base.data());
  layer.b.assign(randn([40, 8], { generator }));
  using before = layer.forward(x);
  using expected = tidy(() => composed(layer, x));
  t.true((await distance(before, expected)) < 2e-6);
  layer.merge();
  using after = layer.base.forward(x);
  t.true((await distance(after, before)) < 2 ** -7);
  t.true((await distance(after, base)) > 0.1);
});

test("a step of training changes the adapter alone", async (t) => {
  using layer = make();
  using x = randn([9, 24]);
  const weight = await layer.base.weight.value.data();
  const optimizer = new AdamW(layer.trainable(), { learningRate: 0.1 });
  const losses: number[] = [];
  for (let i = 0; i < 5; i++) {
    const loss = tidy(() => {
      const { loss, gradients } = valueAndGrad(layer.trainable(), () =>
        layer.forward(x).square().mean(),
      );
      optimizer.step(gradients);
      return loss;
    });
    losses.push(await loss.item());
    loss.dispose();
  }
  optimizer.dispose();
  t.true(losses.at(-1)! < losses[0]! / 2);
  t.deepEqual(await layer.base.weight.value.data(), weight);
});

test("a rank is a positive whole number", (t) => {
  using base = new Linear(2, 2);
  for (const rank of [0, -1, 1.5, Number.NaN])
    t.throws(() => new LoraLinear(base, { rank }), {
      instanceOf: UsageError,
      message: /LoraLinear: rank must be a positive whole number/,
    });
});
