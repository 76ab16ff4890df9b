import { adamwStep, globalNorm, reshape } from "../../src/ops/index.js";
import { type Tensor, tensor } from "../../src/tensor/index.js";
import { cases, type HostTensor, type HostTensors, hostTensor, type Random } from "./case.js";
import { shadowsAfter, shadowsOf } from "./shadows.js";

const [rate, beta1, beta2, eps] = [3e-3, 0.9, 0.99, 1e-8];
/** Each parameter has its own decay and number of steps so far. */
const decayOf = (i: number): number => (i % 2 === 0 ? 0.1 : 0);
const stepsOf = (i: number): number => 3 + i; // this step included

function inputs(random: Random, { sizes }: { sizes: readonly number[] }): HostTensors {
  const entries = sizes.flatMap((size, i) => [
    [`parameter${i}`, random.normal([size])] as const,
    [`gradient${i}`, random.normal([size])] as const,
    [`first${i}`, random.normal([size], 0.1)] as const,
    [`second${i}`, random.uniform([size], 0.1, 1)] as const,
  ]);
  return Object.fromEntries(entries);
}

export default cases(
  "adamw",
  [
    { name: "one", sizes: [1], clip: 0, shadowOf: [] },
    { name: "ragged", sizes: [7, 63, 0, 199, 1], clip: 0, shadowOf: [] },
    { name: "clipped", sizes: [199, 63], clip: 2, shadowOf: [] },
    { name: "not clipped", sizes: [63, 7], clip: 1000, shadowOf: [] },
    { name: "several tasks", sizes: [5, 9_000, 3], clip: 1, shadowOf: [] },
    { name: "shadows", sizes: [199, 63, 0, 7, 1], clip: 1, shadowOf: [0, 2, 4] },
    {
      name: "encoder layer",
      sizes: [49_152, 16_384, 65_536, 65_536],
      clip: 1,
      shadowOf: [],
      bench: true,
    },
    { name: "item table", sizes: [26_744 * 128], clip: 0, shadowOf: [], bench: true },
  ],
  {
    covers: ["adamw"],
    inputs,
    run(given, { sizes, clip, shadowOf }) {
      const list = (name: string): Tensor[] => sizes.map((_, i) => given[`${name}${i}`]!);
      const parameters = list("parameter");
      const first = list("first");
      const second = list("second");
      const rows = sizes.flatMap((_, i) => {
        return [0.5, clip, rate, decayOf(i), beta1, beta2, eps];
      });
      const steps = sizes.map((_, i) => tensor(stepsOf(i) - 1));
      const shadows = shadowsOf(parameters, shadowOf);
      adamwStep({
        parameters,
        gradients: list("gradient"),
        first,
        second,
        steps,
        scalars: tensor(Float64Array.from(rows), { shape: [sizes.length, 7] }),
        rows: sizes.map((_, i) => i),
        norm: clip > 0 ? globalNorm(list("gradient")) : undefined,
        ...shadows,
      });
      const changed = [...parameters, ...first, ...second].map((x) => reshape(x, x.shape));
      return [...changed, ...shadowsAfter(parameters, shadowOf, shadows)];
    },
    reference(given, { sizes, clip, shadowOf }) {
      let squares = 0;
      for (const [i] of sizes.entries())
        for (const g of given[`gradient${i}`]!.data) squares += (0.5 * g) ** 2;
      const factor = clip > 0 ? 0.5 * Math.min(1, clip / (Math.sqrt(squares) + 1e-6)) : 0.5;
      const [parameters, first, second] = [0, 1, 2].map(() =>
        sizes.map((size) => hostTensor([size], () => 0)),
      ) as [HostTensor[], HostTensor[], HostTensor[]];
      for (const [i, size] of sizes.entries())
        for (let k = 0; k < size; k++) {
          const g = given[`gradient${i}`]!.data[k]! * factor;
          const m = beta1 * given[`first${i}`]!.data[k]! + (1 - beta1) * g;
          const v = beta2 * given[`second${i}`]!.data[k]! + (1 - beta2) * g * g;
          const mean = m / (1 - beta1 ** stepsOf(i));
          const root = Math.sqrt(v / (1 - beta2 ** stepsOf(i)));
          const p = given[`parameter${i}`]!.data[k]!;
          parameters[i]!.data[k] = p - rate * decayOf(i) * p - (rate * mean) / (root + eps);
          first[i]!.data[k] = m;
          second[i]!.data[k] = v;
        }
      return [...parameters, ...first, ...second, ...shadowOf.map((i) => parameters[i]!)];
    },
    differentiable: [],
    work({ sizes, clip, shadowOf }) {
      const elements = sizes.reduce((a, b) => a + b, 0);
      const shadowed = shadowOf.reduce<number>((sum, i) => sum + sizes[i]!, 0);
      return { flops: 14 * elements, bytes: 4 * elements * (clip > 0 ? 8 : 7) + 2 * shadowed };
    },
    torch({ sizes, clip }) {
      const list = (name: string): string => `[${sizes.map((_, i) => `${name}${i}`).join(", ")}]`;
      const gradients = list("gradient");
      const norm = clip > 0 ? `torch.nn.utils.get_total_norm(${gradients}), ` : "";
      return (
        `(${norm}torch._fused_adamw_(${list("parameter")}, ${gradients}, ${list("first")}, ${list("second")}, [], ` +
        `[torch.tensor(3.0)] * ${sizes.length}, lr=${rate}, beta1=${beta1}, beta2=${beta2}, weight_decay=0.1, ` +
        `eps=${eps}, amsgrad=False, maximize=False))`
      );
    },
  },
);
