import { accumulateWeighted, divideBy, reshape, scaleGradients } from "../../src/ops/index.js";
import { type Tensor, tensor } from "../../src/tensor/index.js";
import { cases, type HostTensors, hostTensor } from "./case.js";

const list = <T>(given: Readonly<Record<string, T>>, name: string, sizes: readonly number[]): T[] =>
  sizes.map((_, i) => given[`${name}${i}`]!);
const elements = (sizes: readonly number[]): number => sizes.reduce((a, b) => a + b, 0);
const same = (changed: Tensor): Tensor => reshape(changed, changed.shape);

const accumulate = cases(
  "accumulate_weighted",
  [
    { name: "one", sizes: [1], weight: 3 },
    { name: "ragged", sizes: [7, 63, 0, 199], weight: 41 },
    { name: "weight zero", sizes: [63], weight: 0 },
    { name: "several tasks", sizes: [1, 20_000, 5], weight: 7 },
    { name: "item table", sizes: [26_744 * 128], weight: 100, bench: true },
  ],
  {
    covers: ["accumulate_weighted"],
    inputs: (random, { sizes }): HostTensors =>
      Object.fromEntries(
        sizes.flatMap((size, i) => [
          [`target${i}`, random.normal([size])],
          [`value${i}`, random.normal([size])],
        ]),
      ),
    run(given, { sizes, weight }) {
      const targets = list<Tensor>(given, "target", sizes);
      const total = tensor(2, { dtype: "float64" });
      const tokens = tensor(weight, { dtype: "int32" });
      accumulateWeighted(targets, list<Tensor>(given, "value", sizes), total, tokens);
      return targets.map(same);
    },
    reference: (given, { sizes, weight }) =>
      sizes.map((size, i) =>
        hostTensor(
          [size],
          (k) => given[`target${i}`]!.data[k]! + weight * given[`value${i}`]!.data[k]!,
        ),
      ),
    differentiable: [],
    work: ({ sizes }) => ({ flops: 2 * elements(sizes), bytes: 12 * elements(sizes) }),
    torch: ({ sizes, weight }) =>
      `[${sizes.map((_, i) => `target${i}.add_(value${i}, alpha=${weight})`).join(", ")}]`,
  },
);

const divide = cases(
  "divide_by",
  [
    { name: "one", sizes: [1], divisor: 3 },
    { name: "ragged", sizes: [7, 63, 0, 199], divisor: 41 },
    { name: "by zero", sizes: [63], divisor: 0 },
    { name: "several tasks", sizes: [1, 40_000, 5], divisor: 7 },
    { name: "item table", sizes: [26_744 * 128], divisor: 100, bench: true },
  ],
  {
    covers: ["divide_by"],
    inputs: (random, { sizes }): HostTensors =>
      Object.fromEntries(sizes.map((size, i) => [`target${i}`, random.normal([size])])),
    run(given, { sizes, divisor }) {
      const targets = list<Tensor>(given, "target", sizes);
      divideBy(targets, tensor(divisor, { dtype: "float64" }));
      return targets.map(same);
    },
    reference: (given, { sizes, divisor }) =>
      sizes.map((size, i) =>
        hostTensor([size], (k) => given[`target${i}`]!.data[k]! / (divisor || 1)),
      ),
    differentiable: [],
    work: ({ sizes }) => ({ flops: elements(sizes), bytes: 8 * elements(sizes) }),
    torch: ({ sizes, divisor }) =>
      `[${sizes.map((_, i) => `target${i}.div_(${divisor})`).join(", ")}]`,
  },
);

const scale = cases(
  "scale_gradients",
  [
    { name: "one", sizes: [1], factor: 3 },
    { name: "ragged", sizes: [7, 63, 0, 199], factor: -0.5 },
    { name: "by one", sizes: [63], factor: 1 },
    { name: "several tasks", sizes: [1, 40_000, 5], factor: 7 },
    { name: "item table", sizes: [26_744 * 128], factor: 0.5, bench: true },
  ],
  {
    covers: ["scale_gradients"],
    inputs: (random, { sizes, factor }): HostTensors => ({
      ...Object.fromEntries(sizes.map((size, i) => [`gradient${i}`, random.normal([size])])),
      by: random.values([], [factor], "float"),
    }),
    run(given, { sizes }) {
      const gradients = list<Tensor>(given, "gradient", sizes);
      scaleGradients(gradients, given["by"]!);
      return gradients.map(same);
    },
    reference: (given, { sizes, factor }) =>
      sizes.map((size, i) => hostTensor([size], (k) => given[`gradient${i}`]!.data[k]! * factor)),
    differentiable: [],
    work: ({ sizes }) => ({ flops: elements(sizes), bytes: 8 * elements(sizes) }),
    torch: ({ sizes }) => `[${sizes.map((_, i) => `gradient${i}.mul_(by)`).join(", ")}]`,
  },
);

export default [accumulate, divide, scale];
