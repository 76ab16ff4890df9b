import { full } from "../../src/ops/full.js";
import { cases, hostTensor } from "./case.js";

export default cases(
  "full",
  [
    { name: "a scalar", shape: [], value: 0.5 },
    { name: "seven", shape: [7], value: -3 },
    { name: "sixty-three", shape: [5, 63], value: 2 ** -20 },
    { name: "several tasks", shape: [199, 199], value: 1 },
    { name: "infinity", shape: [2], value: Infinity },
    { name: "not a number", shape: [2], value: Number.NaN },
    { name: "nothing", shape: [0, 3], value: 1 },
    { name: "hidden states", shape: [6400, 512], value: 1, bench: true },
  ],
  {
    covers: ["full"],
    inputs: () => ({}),
    run: (_, { shape, value }) => full(shape, value),
    reference: (_, { shape, value }) => hostTensor(shape, () => value),
    work: ({ shape }) => ({ bytes: 4 * shape.reduce((a: number, b) => a * b, 1) }),
    torch: ({ shape, value }) => `torch.full([${shape}], ${value})`,
  },
);
