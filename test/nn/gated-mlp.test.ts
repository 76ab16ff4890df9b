import test from "ava";
import {
  GatedMLP,
  Generator,
  gelu,
  memory,
  multiply,
  randn,
  silu,
  type Tensor,
  tidy,
  UsageError,
} from "../../src/index.js";
import { distance } from "./distance.js";

const activations = { silu, gelu } as const;

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
