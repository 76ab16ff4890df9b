import { fileURLToPath } from "node:url";
import test from "ava";
import {
  GatedMLP,
  Generator,
  gelu,
  memory,
  multiply,
  openSafetensors,
  randn,
  silu,
  type Tensor,
  tidy,
  UsageError,
  valueAndGrad,
} from "../../src/index.js";
import { distance } from "./distance.js";

const path = fileURLToPath(new URL("../golden/nn/gated-mlp.safetensors", import.meta.url));
const activations = { silu, gelu } as const;

test("equals the same layer in PyTorch: output and gradients", async (t) => {
  const file = await openSafetensors(path);
  const golden = await file.readAll();
  await file.close();
  for (const activation of ["silu", "gelu"] as const) {
    using mlp = new GatedMLP(8, { hiddenWidth: 12, activation, bias: true });
    const of = (name: string) => golden.get(`${activation}.${name}`)!;
    mlp.loadStateDict(
      new Map([...mlp.namedParameters()].map(([name]) => [name, of(`parameter.${name}`)])),
    );
    const x = of("in.x");
    const { output, gradients } = valueAndGrad([x, ...mlp.trainable()], () => {
      const output = mlp.forward(x);
      return { loss: multiply(output, of("in.cotangent")).sum(), output };
    });
    t.true((await distance(output, of("out"))) < 1e-6);
    t.true((await distance(gradients.get(x)!, of("grad.x"))) < 1e-6);
    for (const [name, parameter] of mlp.namedParameters())
      t.true((await distance(gradients.get(parameter)!, of(`grad.${name}`))) < 1e-6, name);
  }
});

test("equals its composed form", async (t) => {
  for (const activation of ["silu", "gelu"] as const) {
    using mlp = new GatedMLP(16, { hiddenWidth: 40, activation, generator: new Generator(3) });
    using x = randn([2, 5, 16]);
    const composed = (): Tensor =>
      mlp.down.forward(multiply(activations[activation](mlp.gate.forward(x)), mlp.up.forward(x)));
    using ours = tidy(() => mlp.forward(x));
    using theirs = tidy(composed);
    t.true((await distance(ours, theirs)) < 1e-6);
  }
});

test("names, widths and defaults", (t) => {
  using mlp = new GatedMLP(96);
  t.deepEqual(
    [...mlp.namedParameters()].map(([name, { shape }]) => [name, ...shape]),
    [
      ["gate.weight", 256, 96],
      ["up.weight", 256, 96],
      ["down.weight", 96, 256],
    ],
  );
  const before = memory().tensors;
  t.throws(() => new GatedMLP(4, { activation: "tanh" as "silu" }), {
    instanceOf: UsageError,
    message: 'GatedMLP: activation must be "silu" or "gelu", got "tanh"',
  });
  t.is(memory().tensors, before);
});
