import { clipByNorm, globalNorm } from "../../src/ops/index.js";
import { type Tensor, tensor } from "../../src/tensor/index.js";
import { cases, type HostTensors, hostTensor } from "./case.js";

const all = <T>(given: Readonly<Record<string, T>>, sizes: readonly number[]): T[] =>
  sizes.map((_, i) => given[`x${i}`]!);

const norm = cases(
  "global_norm",
  [
    { name: "no tensors", sizes: [] },
    { name: "one", sizes: [1] },
    { name: "ragged", sizes: [7, 63, 0, 199] },
    { name: "several tasks", sizes: [1, 40_000, 5] },
    { name: "encoder layer", sizes: [49_152, 16_384, 65_536, 65_536], bench: true },
    { name: "item table", sizes: [26_744 * 128], bench: true },
  ],
  {
    covers: ["global_norm"],
    inputs: (random, { sizes }): HostTensors =>
      Object.fromEntries(sizes.map((size, i) => [`x${i}`, random.normal([size], 10)])),
    // No tensors have no dtype: the norm is then float32, in any case.
    run: (given, { sizes }) => globalNorm(all<Tensor>(given, sizes)),
    reference(given, { sizes }) {
      let squares = 0;
      for (const { data } of all(given, sizes)) for (const x of data) squares += x * x;
      return hostTensor([], () => Math.sqrt(squares));
    },
    differentiable: [],
    terms: ({ sizes }) => sizes.reduce((a, b) => a + b, 0),
    work: ({ sizes }) => ({ flops: 2 * sizes.reduce((a, b) => a + b, 0) }),
    torch: ({ sizes }) =>
      `torch.nn.utils.get_total_norm([${sizes.map((_, i) => `x${i}`).join(", ")}])`,
  },
);

const clip = cases(
  "clip_by_norm",
  [
    { name: "one", size: 1, limit: 0.1 },
    { name: "clipped", size: 199, limit: 1 },
    { name: "not clipped", size: 63, limit: 1000 },
    { name: "nothing", size: 0, limit: 1 },
    { name: "item table", size: 26_744 * 128, limit: 1, bench: true },
  ],
  {
    covers: ["clip_by_norm"],
    inputs: (random, { size }) => ({ x: random.normal([size], 10) }),
    run: ({ x }, { limit }) => clipByNorm(x, globalNorm([x]), tensor(limit, { dtype: "float64" })),
    reference({ x }, { size, limit }) {
      const whole = Math.sqrt(x.data.reduce((sum, value) => sum + value * value, 0));
      return hostTensor([size], (i) => x.data[i]! * Math.min(1, limit / (whole + 1e-6)));
    },
    differentiable: [],
    work: ({ size }) => ({ flops: 3 * size, bytes: 12 * size }),
    torch: ({ limit }) =>
      `x * torch.clamp(${limit} / (torch.linalg.vector_norm(x) + 1e-6), max=1.0)`,
  },
);

export default [norm, clip];
