import { globalNorm, lionStep, reshape } from "../../src/ops/index.js";
import { type Tensor, tensor } from "../../src/tensor/index.js";
import { cases, type HostTensor, type HostTensors, hostTensor } from "./case.js";
import { shadowsAfter, shadowsOf } from "./shadows.js";

const [rate, decay, beta1, beta2] = [1e-2, 0.1, 0.9, 0.99];

export default cases(
  "lion",
  [
    { name: "ragged", sizes: [7, 63, 0, 199, 1], clip: 0, shadowOf: [] },
    { name: "clipped, shadows", sizes: [63, 1, 7], clip: 2, shadowOf: [0, 2] },
    { name: "several tasks", sizes: [5, 17_000, 3], clip: 1, shadowOf: [1] },
    { name: "item table", sizes: [26_744 * 128], clip: 0, shadowOf: [], bench: true },
  ],
  {
    covers: ["lion"],
    inputs: (random, { sizes }): HostTensors =>
      Object.fromEntries(
        sizes.flatMap((size, i) =>
          ["parameter", "gradient", "momentum"].map((name) => [
            `${name}${i}`,
            random.normal([size]),
          ]),
        ),
      ),
    run(given, { sizes, clip, shadowOf }) {
      const list = (name: string): Tensor[] => sizes.map((_, i) => given[`${name}${i}`]!);
      const [parameters, momentum] = [list("parameter"), list("momentum")];
      const shadows = shadowsOf(parameters, shadowOf);
      lionStep({
        parameters,
        gradients: list("gradient"),
        momentum,
        scalars: tensor(Float64Array.of(0.5, clip, rate, decay, beta1, beta2), { shape: [1, 6] }),
        rows: sizes.map(() => 0),
        norm: clip > 0 ? globalNorm(list("gradient")) : undefined,
        ...shadows,
      });
      const changed = [...parameters, ...momentum].map((x) => reshape(x, x.shape));
      return [...changed, ...shadowsAfter(parameters, shadowOf, shadows)];
    },
    reference(given, { sizes, clip, shadowOf }) {
      let squares = 0;
      for (const [i] of sizes.entries())
        for (const g of given[`gradient${i}`]!.data) squares += (0.5 * g) ** 2;
      const factor = clip > 0 ? 0.5 * Math.min(1, clip / (Math.sqrt(squares) + 1e-6)) : 0.5;
      const [parameters, momentum] = [0, 1].map(() =>
        sizes.map((size) => hostTensor([size], () => 0)),
      ) as [HostTensor[], HostTensor[]];
      for (const [i, size] of sizes.entries())
        for (let k = 0; k < size; k++) {
          const p = given[`parameter${i}`]!.data[k]!;
          const m = given[`momentum${i}`]!.data[k]!;
          const g = given[`gradient${i}`]!.data[k]! * factor;
          const direction = Math.sign(beta1 * m + (1 - beta1) * g);
          parameters[i]!.data[k] = p - rate * (direction + decay * p);
          momentum[i]!.data[k] = beta2 * m + (1 - beta2) * g;
        }
      return [...parameters, ...momentum, ...shadowOf.map((i) => parameters[i]!)];
    },
    differentiable: [],
    work({ sizes }) {
      const elements = sizes.reduce((a, b) => a + b, 0);
      return { flops: 9 * elements, bytes: 20 * elements };
    },
    torch: ({ sizes }) =>
      `[${sizes
        .map(
          (_, i) =>
            `(parameter${i}.mul_(${1 - rate * decay}).add_(torch.lerp(momentum${i}, gradient${i}, ` +
            `${1 - beta1}).sign_(), alpha=${-rate}), momentum${i}.lerp_(gradient${i}, ${1 - beta2}))`,
        )
        .join(", ")}]`,
  },
);
