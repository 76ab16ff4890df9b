import { transpose } from "../../src/ops/transpose.js";
import { cases, hostTensor } from "./case.js";

export default cases(
  "transpose",
  [
    { name: "one row", shape: [1, 7], axes: [1, 0] },
    { name: "odd matrix", shape: [63, 37], axes: [1, 0] },
    { name: "tiles and rests", shape: [70, 199], axes: [-1, -2] },
    { name: "heads apart", shape: [2, 7, 3, 5], axes: [0, 2, 1, 3] },
    { name: "keys turned", shape: [2, 7, 3, 5], axes: [0, 2, 3, 1] },
    { name: "reversed", shape: [2, 3, 4, 5, 6], axes: [4, 3, 2, 1, 0] },
    { name: "rotated", shape: [33, 2, 34], axes: [2, 0, 1] },
    { name: "nothing", shape: [3, 0, 2], axes: [2, 1, 0] },
    { name: "heads of the encoder", shape: [64, 100, 8, 16], axes: [0, 2, 1, 3], bench: true },
    { name: "heads of the LLM", shape: [16, 512, 8, 64], axes: [0, 2, 1, 3], bench: true },
    { name: "catalogue", shape: [26_744, 128], axes: [1, 0], bench: true },
    { name: "weight", shape: [2048, 2048], axes: [1, 0], bench: true },
  ],
  {
    covers: ["transpose"],
    inputs: (random, { shape }) => ({ x: random.normal(shape) }),
    run: ({ x }, { axes }) => transpose(x, axes),
    reference({ x }, { axes }) {
      const { shape } = x;
      const strides = shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
      const from = axes.map((axis) => (axis < 0 ? axis + shape.length : axis));
      const result = from.map((axis) => shape[axis]!);
      return hostTensor(result, (i) => {
        let offset = 0;
        for (let d = result.length - 1, rest = i; d >= 0; rest = Math.floor(rest / result[d--]!))
          offset += (rest % result[d]!) * strides[from[d]!]!;
        return x.data[offset]!;
      });
    },
    torch: ({ axes }) => `x.permute(${axes}).contiguous()`,
  },
);
