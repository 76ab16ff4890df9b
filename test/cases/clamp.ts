import { clamp } from "../../src/ops/clamp.js";
import { cases, hostTensor } from "./case.js";

export default cases(
  "clamp",
  [
    { name: "both", shape: [3, 63], min: -0.5, max: 1 },
    { name: "from below", shape: [199], min: 0.25 },
    { name: "from above", shape: [7], max: 0 },
    { name: "neither", shape: [7] },
    { name: "crossed", shape: [7], min: 1, max: -1 },
    { name: "no rows", shape: [0, 5], min: 0 },
    { name: "activations", shape: [6400, 512], min: -1, max: 1, bench: true },
  ],
  {
    covers: ["clamp", "clamp_backward"],
    inputs: (random, { shape }) => ({ x: random.normal(shape) }),
    run: ({ x }, limits) => clamp(x, limits),
    reference: ({ x }, { min = -Infinity, max = Infinity }) =>
      hostTensor(x.shape, (i) => Math.min(Math.max(x.data[i]!, min), max)),
    torch: ({ min, max }) => `x.clamp(${min ?? "None"}, ${max ?? "None"})`,
  },
);
