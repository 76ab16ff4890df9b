/** The base product of `loraLinear` in bfloat16 is that of `linear`; the adapters stay float32. */
import test from "ava";
import { grad } from "../../src/autograd/index.js";
import { DTypeError } from "../../src/errors.js";
import {
  add,
  cast,
  Generator,
  linear,
  loraLinear,
  multiply,
  ones,
  randn,
  sum,
} from "../../src/ops/index.js";
import { memory, type Tensor, tidy } from "../../src/tensor/index.js";
import { distance } from "../nn/distance.js";

const sizes = [
  [1, 1, 1, 1],
  [7, 33, 63, 3],
  [199, 64, 96, 8],
  [40, 2100, 31, 20],
  [3, 0, 5, 2],
  [0, 3, 4, 2],
  [2, 3, 0, 2],
] as const;

for (const weights of ["rounded", "shadowed", "stored"] as const)
  test.serial(`a weight that is ${weights} in bfloat16`, async (t) => {
    const before = memory().tensors;
    const generator = new Generator(3);
    for (const [rows, inWidth, outWidth, rank] of sizes) {
      using x = randn([rows, inWidth], { generator });
      using plain = randn([outWidth, inWidth], { generator, std: Math.max(1, inWidth) ** -0.5 });
      using half = cast(plain, "bfloat16");
      using bias = randn([outWidth], { generator });
      using residual = randn([rows, outWidth], { generator });
      using a = randn([rank, inWidth], { generator, std: Math.max(1, inWidth) ** -0.5 });
      using b = randn([outWidth, rank], { generator });
      using cotangent = randn([rows, outWidth], { generator });
      const weight = weights === "stored" ? half : plain;
      const options =
        weights === "stored"
          ? { residual }
          : weights === "shadowed"
            ? ({ residual, precision: "bfloat16", shadow: half } as const)
            : ({ residual, precision: "bfloat16" } as const);
      const ours = () => loraLinear(x, weight, bias, [{ a, b, scale: 2 }], options);
      const theirs = () =>
        add(linear(x, weight, bias, options), multiply(linear(linear(x, a), b), 2));
      const label = `[${rows}, ${inWidth}] to ${outWidth}, rank ${rank}`;
      using actual = tidy(ours);
      using expected = tidy(theirs);
      t.is(actual.dtype, "float32");
      t.true((await distance(actual, expected)) < 3e-6, label);

      const leaves = weights === "stored" ? [x, a, b, bias] : [x, a, b, bias, weight];
      const gradients = (body: () => Tensor) =>
        grad(leaves, () => sum(multiply(body(), cotangent)));
      const [made, wanted] = [gradients(ours), gradients(theirs)];
      for (const [i, leaf] of leaves.entries()) {
        using mine = made.get(leaf)!;
        using other = wanted.get(leaf)!;
        t.true((await distance(mine, other)) < 3e-6, `${label}, gradient ${i}`);
      }
    }
    generator.dispose();
    t.is(memory().tensors, before);
  });

test.serial("dtypes that do not go together are one clear error", (t) => {
  using x = ones([2, 3]);
  using weight = ones([4, 3]);
  using half = cast(weight, "bfloat16");
  using a = ones([1, 3]);
  using b = ones([4, 1]);
  const refuses = (body: () => Tensor, message: string) =>
    t.throws(() => tidy(body), { instanceOf: DTypeError, message });
  refuses(
    () => loraLinear(cast(x, "bfloat16"), half, undefined, [{ a, b, scale: 1 }]),
    "lora_linear: x is bfloat16, must be float32 or float64",
  );
  refuses(
    () => loraLinear(x, half, undefined, [{ a: cast(a, "bfloat16"), b, scale: 1 }]),
    "lora_linear: a[0] is bfloat16, must be float32, as x",
  );
  refuses(
    () => loraLinear(x, weight, undefined, [{ a, b, scale: 1 }], { shadow: half }),
    'lora_linear: shadow is for precision "bfloat16" and a float32 weight, which is float32',
  );
});
