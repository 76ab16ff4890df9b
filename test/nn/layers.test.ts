/** Layers equal the same layers in PyTorch, from the same weights. */
import test from "ava";
import {
  AdamW,
  CrossAttention,
  GatedMLP,
  type Module,
  Perceiver,
  RotaryEmbedding,
  type Tensor,
  TransformerBlock,
  tidy,
  valueAndGrad,
} from "../../src/index.js";
import { distance, tolerance } from "./distance.js";
import { LayerGolden, largest } from "./golden.js";

/** A layer, and how it is applied to the golden's inputs. */
interface Layer {
  readonly inputs: readonly string[];
  make(): Module;
  apply(layer: Module, golden: LayerGolden): Tensor;
}

const block = (make: () => TransformerBlock): Layer => ({
  inputs: ["x"],
  make,
  apply: (layer, golden) => (layer as TransformerBlock).forward(golden.get("in.x")),
});

const gatedMlp = (activation: "silu" | "gelu"): Layer => ({
  inputs: ["x"],
  make: () => new GatedMLP(8, { hiddenWidth: 12, activation, bias: true }),
  apply: (layer, golden) => (layer as GatedMLP).forward(golden.get("in.x")),
});

const layers: Readonly<Record<string, Layer>> = {
  "transformer-block": block(
    () => new TransformerBlock(16, { heads: 4, hiddenWidth: 24, causal: true }),
  ),
  "llama-block": block(
    () =>
      new TransformerBlock(16, {
        heads: 4,
        kvHeads: 2,
        hiddenWidth: 24,
        causal: true,
        bias: false,
        norm: "rms",
        mlp: "swiglu",
        rotary: new RotaryEmbedding(4),
      }),
  ),
  "gated-mlp-silu": gatedMlp("silu"),
  "gated-mlp-gelu": gatedMlp("gelu"),
  "cross-attention": {
    inputs: ["x", "context"],
    make: () => new CrossAttention(16, 12, { heads: 4, gate: "tanh" }),
    apply: (layer, golden) =>
      (layer as CrossAttention).forward(golden.get("in.x"), golden.get("in.context"), {
        context: { lengths: golden.get("in.lengths") },
        residual: golden.get("in.x"),
      }),
  },
  perceiver: {
    inputs: ["context"],
    make: () => new Perceiver(12, { width: 16, latents: 3, layers: 2, heads: 4, hiddenWidth: 24 }),
    apply: (layer, golden) =>
      (layer as Perceiver).forward(golden.get("in.context"), { lengths: golden.get("in.lengths") }),
  },
};

for (const [name, { inputs, make, apply }] of Object.entries(layers))
  test(`${name}: output and gradients`, async (t) => {
    const golden = await LayerGolden.open(name);
    using layer = golden.load(make());
    const leaves = inputs.map((input) => golden.get(`in.${input}`));
    const result = valueAndGrad([...leaves, ...layer.trainable()], () => {
      const output = apply(layer, golden);
      return { loss: output.multiply(golden.get("in.cotangent")).sum(), output };
    });
    t.true((await distance(result.output, golden.get("out"))) < tolerance);
    for (const [i, input] of inputs.entries())
      t.true(
        (await distance(result.gradients.get(leaves[i]!)!, golden.get(`grad.in.${input}`))) <
          tolerance,
        input,
      );
    for (const [path, parameter] of layer.namedParameters()) {
      const ours = result.gradients.get(parameter)!;
      const theirs = golden.get(`grad.${path}`);
      // A bias on all keys of a query moves no probability, so its gradient is what rounding leaves of zero.
      if (/key\.bias$/.test(path))
        t.true(
          largest(await ours.dataAs("float32")) <
            tolerance *
              largest(await golden.get(`grad.${path.replace("bias", "weight")}`).dataAs("float32")),
          path,
        );
      else t.true((await distance(ours, theirs)) < tolerance, path);
    }
  });

test("transformer-block: three AdamW steps", async (t) => {
  const golden = await LayerGolden.open("transformer-block");
  const { make, apply } = layers["transformer-block"]!;
  using layer = golden.load(make());
  using optimizer = new AdamW(layer.trainable(), { learningRate: 1e-2, weightDecay: 0.1 });
  for (const expected of await golden.get("losses").dataAs("float32")) {
    const loss = tidy(() => {
      const { loss, gradients } = valueAndGrad(layer.trainable(), () =>
        apply(layer, golden).square().mean(),
      );
      optimizer.step(gradients);
      return loss;
    });
    t.true(Math.abs((await loss.item()) - expected) < tolerance * expected);
  }
  // Adam divides a gradient by its size: where that is hardly more than rounding, so is the step. The others agree.
  const first = golden.under("first.");
  for (const [path, value] of golden.under("trained.")) {
    const [ours, theirs, gradient] = await Promise.all(
      [layer.stateDict().get(path)!, value, first.get(path)!].map((x) => x.dataAs("float32")),
    );
    const compared = [...ours!.keys()].filter(
      (i) => Math.abs(gradient![i]!) > 0.1 * largest(gradient!),
    );
    t.true(compared.length > 5, path);
    for (const i of compared) t.true(Math.abs(ours![i]! - theirs![i]!) < 1e-4, `${path} ${i}`);
  }
});
