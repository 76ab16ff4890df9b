/** The block equals the same block in PyTorch (scripts/goldens-nn.py). */
import { fileURLToPath } from "node:url";
import test from "ava";
import {
  AdamW,
  causalMask,
  MultiHeadAttention,
  openSafetensors,
  ShapeError,
  TransformerBlock,
  tidy,
  UsageError,
  valueAndGrad,
  zeros,
} from "../../src/index.js";
import { distance } from "./distance.js";

const path = fileURLToPath(new URL("../golden/nn/transformer-block.safetensors", import.meta.url));

/** The golden's tensors, and a block with its parameters. */
async function load() {
  const file = await openSafetensors(path);
  const golden = await file.readAll();
  await file.close();
  const starting = (prefix: string) =>
    new Map(
      [...golden]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
    );
  const block = new TransformerBlock(16, { heads: 4, hiddenWidth: 24 });
  block.loadStateDict(starting("parameter."));
  return { golden, starting, block };
}

/** Some hundred roundings in a row, relative to the largest element. */
const tolerance = 3e-6;

test("output and gradients", async (t) => {
  const { golden, starting, block } = await load();
  const x = golden.get("in.x")!;
  const result = valueAndGrad([x, ...block.trainable()], () => {
    const output = block.forward(x, causalMask(5));
    return { loss: output.multiply(golden.get("in.cotangent")!).sum(), output };
  });
  t.true((await distance(result.output, golden.get("out")!)) < tolerance);
  const gradients = starting("grad.");
  t.true((await distance(result.gradients.get(x)!, gradients.get("x")!)) < tolerance);
  // A bias on all keys of a query moves no probability, so its gradient is what rounding leaves of zero.
  const scale = await gradients.get("attention.key.weight")!.data();
  for (const [name, parameter] of block.namedParameters()) {
    const gradient = result.gradients.get(parameter)!;
    if (name === "attention.key.bias") {
      const most = Math.max(...scale.map(Math.abs));
      t.true(
        (await gradient.dataAs("float32")).every((value) => Math.abs(value) < tolerance * most),
      );
    } else t.true((await distance(gradient, gradients.get(name)!)) < tolerance, name);
  }
});

test("three AdamW steps", async (t) => {
  const { golden, starting, block } = await load();
  const optimizer = new AdamW(block.trainable(), { learningRate: 1e-2, weightDecay: 0.1 });
  const losses = await golden.get("losses")!.dataAs("float32");
  for (const expected of losses) {
    const loss = tidy(() => {
      const { loss, gradients } = valueAndGrad(block.trainable(), () =>
        block.forward(golden.get("in.x")!, causalMask(5)).square().mean(),
      );
      optimizer.step(gradients);
      return loss;
    });
    t.true(Math.abs((await loss.item()) - expected) < tolerance * expected);
  }
  // Adam divides by the size of the gradient: where that is rounding noise, so is the direction of the step.
  // Adam divides a gradient by its size: where that is hardly more than rounding, so is the step. The others agree.
  const gradients = starting("first.");
  for (const [name, value] of starting("trained.")) {
    const [ours, theirs, first] = await Promise.all(
      [block.stateDict().get(name)!, value, gradients.get(name)!].map((tensor) =>
        tensor.dataAs("float32"),
      ),
    );
    const most = first!.reduce((most, gradient) => Math.max(most, Math.abs(gradient)), 0);
    const compared = [...ours!.keys()].filter((i) => Math.abs(first![i]!) > 0.1 * most);
    t.true(name === "attention.key.bias" || compared.length > 5);
    for (const i of name === "attention.key.bias" ? [] : compared)
      t.true(Math.abs(ours![i]! - theirs![i]!) < 1e-4, `${name} ${i}`);
  }
});

test("what does not fit is refused", (t) => {
  t.throws(() => new MultiHeadAttention(10, { heads: 3 }), {
    instanceOf: UsageError,
    message: "MultiHeadAttention: heads 3 must divide width 10",
  });
  using attention = new MultiHeadAttention(4, { heads: 2 });
  using x = zeros([2, 3, 5]);
  t.throws(() => attention.forward(x), {
    instanceOf: ShapeError,
    message: "MultiHeadAttention: x must be [batch, length, 4], got [2, 3, 5]",
  });
});
