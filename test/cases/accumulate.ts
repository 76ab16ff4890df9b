import { accumulate } from "../../src/ops/accumulate.js";
import { cases, hostTensor } from "./case.js";

export default cases(
  "accumulate",
  [
    { name: "a scalar", shape: [] },
    { name: "seven", shape: [7] },
    { name: "sixty-three", shape: [5, 63] },
    { name: "several tasks", shape: [199, 199] },
    { name: "nothing", shape: [0, 3] },
    { name: "gradient of a projection", shape: [2048, 512], bench: true },
  ],
  {
    covers: ["accumulate"],
    inputs: (random, { shape }) => ({ target: random.normal(shape), value: random.normal(shape) }),
    differentiable: [],
    run({ target, value }) {
      accumulate(target, value);
      return target;
    },
    reference: ({ target, value }, { shape }) =>
      hostTensor(shape, (i) => target.data[i]! + value.data[i]!),
    work: ({ shape }) => {
      const elements = shape.reduce((a: number, b) => a * b, 1);
      return { flops: elements, bytes: 12 * elements };
    },
    torch: () => "target.add_(value)",
  },
);
