import { globalNorm, reshape, sgdStep } from "../../src/ops/index.js";
import { type Tensor, tensor } from "../../src/tensor/index.js";
import { cases, type HostTensor, type HostTensors, hostTensor } from "./case.js";
import { shadowsAfter, shadowsOf } from "./shadows.js";

const [rate, decay] = [1e-2, 0.05];

export default cases(
  "sgd",
  [
    {
      name: "plain",
      sizes: [7, 63, 0, 199, 1],
      momentum: 0,
      nesterov: false,
      clip: 0,
      shadowOf: [],
    },
    { name: "momentum", sizes: [199, 1], momentum: 0.9, nesterov: false, clip: 0, shadowOf: [1] },
    {
      name: "nesterov, clipped",
      sizes: [63, 7],
      momentum: 0.9,
      nesterov: true,
      clip: 1,
      shadowOf: [0, 1],
    },
    {
      name: "several tasks",
      sizes: [5, 17_000, 3],
      momentum: 0.9,
      nesterov: false,
      clip: 1,
      shadowOf: [1],
    },
    {
      name: "item table",
      sizes: [26_744 * 128],
      momentum: 0.9,
      nesterov: false,
      clip: 0,
      shadowOf: [],
      bench: true,
    },
  ],
  {
    covers: ["sgd"],
    inputs: (random, { sizes }): HostTensors =>
      Object.fromEntries(
        sizes.flatMap((size, i) =>
          ["parameter", "gradient", "sum"].map((name) => [`${name}${i}`, random.normal([size])]),
        ),
      ),
    run(given, { sizes, momentum, nesterov, clip, shadowOf }) {
      const list = (name: string): Tensor[] => sizes.map((_, i) => given[`${name}${i}`]!);
      const parameters = list("parameter");
      const sums = momentum > 0 ? list("sum") : [];
      const shadows = shadowsOf(parameters, shadowOf);
      sgdStep({
        parameters,
        gradients: list("gradient"),
        momentum: sums,
        nesterov,
        scalars: tensor(Float64Array.of(0.5, clip, rate, decay, momentum), { shape: [1, 5] }),
        rows: sizes.map(() => 0),
        norm: clip > 0 ? globalNorm(list("gradient")) : undefined,
        ...shadows,
      });
      const changed = [...parameters, ...sums].map((x) => reshape(x, x.shape));
      return [...changed, ...shadowsAfter(parameters, shadowOf, shadows)];
    },
    reference(given, { sizes, momentum, nesterov, clip, shadowOf }) {
      let squares = 0;
      for (const [i] of sizes.entries())
        for (const g of given[`gradient${i}`]!.data) squares += (0.5 * g) ** 2;
      const factor = clip > 0 ? 0.5 * Math.min(1, clip / (Math.sqrt(squares) + 1e-6)) : 0.5;
      const [parameters, sums] = [0, 1].map(() =>
        sizes.map((size) => hostTensor([size], () => 0)),
      ) as [HostTensor[], HostTensor[]];
      for (const [i, size] of sizes.entries())
        for (let k = 0; k < size; k++) {
          const p = given[`parameter${i}`]!.data[k]!;
          const g = given[`gradient${i}`]!.data[k]! * factor + decay * p;
          const m = momentum > 0 ? momentum * given[`sum${i}`]!.data[k]! + g : g;
          parameters[i]!.data[k] = p - rate * (nesterov ? momentum * m + g : m);
          sums[i]!.data[k] = m;
        }
      const shadows = shadowOf.map((i) => parameters[i]!);
      return [...parameters, ...(momentum > 0 ? sums : []), ...shadows];
    },
    differentiable: [],
    work({ sizes }) {
      const elements = sizes.reduce((a, b) => a + b, 0);
      return { flops: 8 * elements, bytes: 20 * elements };
    },
    torch: ({ sizes, momentum, nesterov }) =>
      `torch._fused_sgd_(${["parameter", "gradient", "sum"]
        .map((name) => `[${sizes.map((_, i) => `${name}${i}`).join(", ")}]`)
        .join(", ")}, weight_decay=${decay}, momentum=${momentum}, lr=${rate}, dampening=0.0, ` +
      `nesterov=${nesterov ? "True" : "False"}, maximize=False, is_first_step=False)`,
  },
);
