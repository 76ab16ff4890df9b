import test from "ava";
import {
  checkpoint,
  Dropout,
  dropout,
  Generator,
  Linear,
  MLP,
  Module,
  memory,
  randn,
  resetPeakMemory,
  seed,
  type Tensor,
  tidy,
  valueAndGrad,
} from "../../src/index.js";

class Stack extends Module {
  readonly layers = Array.from({ length: 4 }, () => new MLP(8, { dropout: 0.3 }));
  readonly dropout = new Dropout(0.2);
  readonly head = new Linear(8, 1);

  loss(x: Tensor, checkpointed: boolean): Tensor {
    for (const layer of this.layers) {
      const segment = (x: Tensor) => this.dropout.forward(layer.forward(x)).add(x);
      x = checkpointed ? checkpoint(segment, x) : segment(x);
    }
    return this.head.forward(x).square().mean();
  }
}

async function lossAndGradients(model: Stack, x: Tensor, checkpointed: boolean) {
  seed(3);
  const { loss, gradients } = valueAndGrad([...model.trainable(), x], () =>
    model.loss(x, checkpointed),
  );
  const values = [await loss.data()];
  for (const gradient of gradients.values()) values.push(await gradient.data());
  loss.dispose();
  for (const gradient of gradients.values()) gradient.dispose();
  return values;
}

test("changes neither the loss nor a gradient, dropout included", async (t) => {
  using model = new Stack();
  using x = randn([5, 8]);
  const plain = await lossAndGradients(model, x, false);
  const before = memory().tensors;
  const checkpointed = await lossAndGradients(model, x, true);
  t.is(memory().tensors, before);
  t.is(plain.length, 1 + 4 * 4 + 2 + 1);
  t.deepEqual(checkpointed, plain);
});

test("random numbers go on after it as they would have without", async (t) => {
  using model = new Stack();
  using x = randn([5, 8]);
  const after = async (checkpointed: boolean) => {
    await lossAndGradients(model, x, checkpointed);
    using next = randn([3]);
    return next.data();
  };
  t.deepEqual(await after(true), await after(false));
});

test("forks of a generator repeat themselves, too", async (t) => {
  using x = randn([64]);
  const generator = new Generator(1);
  const segment = (x: Tensor) => dropout(x, 0.5, { generator: generator.fork() });
  const { loss, gradients } = valueAndGrad([x], () => checkpoint(segment, x).sum());
  const gradient = gradients.get(x)!;
  using seen = x.multiply(gradient).sum();
  t.true(Math.abs((await loss.item()) - (await seen.item())) < 1e-4);
  t.is(generator.state().call, 1);
  loss.dispose();
  gradient.dispose();
});

test("without a tape it is the segment itself", async (t) => {
  using x = randn([4]);
  using y = tidy(() => checkpoint((x) => x.multiply(2), x));
  t.deepEqual(
    await y.data(),
    (await x.dataAs("float32")).map((value) => 2 * value),
  );
});

test("nests", async (t) => {
  using x = randn([6]);
  const run = (inner: (f: (x: Tensor) => Tensor, x: Tensor) => Tensor) =>
    valueAndGrad([x], () => inner((x) => inner((x) => x.exp(), x.square()), x).sum());
  const plain = run((f, x) => f(x));
  const checkpointed = run((f, x) => checkpoint(f, x));
  t.deepEqual(await checkpointed.gradients.get(x)!.data(), await plain.gradients.get(x)!.data());
  for (const { loss, gradients } of [plain, checkpointed]) {
    loss.dispose();
    gradients.get(x)!.dispose();
  }
});

test("saves memory", (t) => {
  const layers = Array.from({ length: 8 }, () => new MLP(32));
  using x = randn([512, 32]);
  const peak = (checkpointed: boolean) => {
    resetPeakMemory();
    const { loss, gradients } = valueAndGrad(
      layers.flatMap((layer) => layer.trainable()),
      () =>
        layers
          .reduce(
            (x, layer) =>
              checkpointed ? checkpoint((x) => layer.forward(x), x) : layer.forward(x),
            x,
          )
          .sum(),
    );
    loss.dispose();
    for (const gradient of gradients.values()) gradient.dispose();
    return memory().peakBytes;
  };
  t.true(peak(true) < 0.5 * peak(false));
  for (const layer of layers) layer.dispose();
});
