import test from "ava";
import {
  AdamW,
  crossEntropy,
  Embedding,
  Linear,
  Module,
  memory,
  Pacer,
  type Tensor,
  TransformerBlock,
  tensor,
  tidy,
  valueAndGrad,
} from "../../src/index.js";

class Model extends Module {
  readonly embedding = new Embedding(11, 16);
  readonly block = new TransformerBlock(16, { heads: 2, dropout: 0.1, causal: true });
  readonly head = new Linear(16, 11);

  loss(ids: Tensor, targets: Tensor): Tensor {
    const hidden = this.block.forward(this.embedding.forward(ids));
    return crossEntropy(this.head.forward(hidden), targets);
  }
}

test("memory is flat over 2,000 training steps, and the loss falls", async (t) => {
  using model = new Model();
  const optimizer = new AdamW(model.trainable(), { learningRate: 1e-2 });
  const pacer = new Pacer();
  const at = new Map<number, { tensors: number; bytes: number; resident: number }>();
  const losses: number[] = [];
  for (let step = 1; step <= 2000; step++) {
    // Lengths vary, as in real batches, so that blocks of many sizes come and go.
    const length = 5 + (step % 7);
    const ids = Int32Array.from({ length: 4 * length }, (_, i) => (i * 3 + step) % 11);
    const loss = tidy(() => {
      const x = tensor(ids, { shape: [4, length] });
      const y = tensor(
        ids.map((id) => (id + 3) % 11),
        { shape: [4, length] },
      );
      const { loss, gradients } = valueAndGrad(model.trainable(), () => model.loss(x, y));
      optimizer.step(gradients, { clipNorm: 1 });
      return loss;
    });
    await pacer.next();
    if (step === 1 || step === 2000) losses.push(await loss.item());
    loss.dispose();
    if (step % 500 === 0) {
      await pacer.finish();
      const { tensors, bytes } = memory();
      at.set(step, { tensors, bytes, resident: process.memoryUsage().rss });
    }
  }
  t.true(losses[1]! < 0.1 * losses[0]!, `loss ${losses.join(" to ")}`);
  const early = at.get(500)!;
  const late = at.get(2000)!;
  t.is(late.tensors, early.tensors);
  t.is(late.bytes, early.bytes);
  // What V8 keeps around varies by some MiB.
  t.true(
    late.resident - early.resident < 24 * 2 ** 20,
    `${((late.resident - early.resident) / 2 ** 20).toFixed(1)} MiB more after 1,500 steps`,
  );
  optimizer.dispose();
});
