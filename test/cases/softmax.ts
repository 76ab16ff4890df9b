import { softmax } from "../../src/ops/softmax.js";
import { cases, hostTensor } from "./case.js";

export default cases(
  "softmax",
  [
    { name: "one class", rows: 3, classes: 1 },
    { name: "seven", rows: 2, classes: 7 },
    { name: "sixty-three", rows: 5, classes: 63 },
    { name: "one hundred ninety-nine", rows: 3, classes: 199 },
    { name: "no rows", rows: 0, classes: 5 },
    { name: "attention scores", rows: 51_200, classes: 50, bench: true },
    { name: "catalogue", rows: 512, classes: 26_744, bench: true },
  ],
  {
    covers: ["softmax", "softmax_backward"],
    inputs: (random, { rows, classes }) => ({ x: random.normal([rows, classes], 3) }),
    run: ({ x }) => softmax(x),
    reference({ x }, { rows, classes }) {
      const result = hostTensor([rows, classes], () => 0);
      for (let r = 0; r < rows; r++) {
        const row = x.data.subarray(r * classes, (r + 1) * classes);
        const top = row.reduce((a, b) => Math.max(a, b), -Infinity);
        const exps = row.map((value) => Math.exp(value - top));
        const total = exps.reduce((a, b) => a + b, 0);
        exps.forEach((value, i) => {
          result.data[r * classes + i] = value / total;
        });
      }
      return result;
    },
    terms: ({ classes }) => classes,
    work: ({ rows, classes }) => ({ flops: 5 * rows * classes, bytes: 8 * rows * classes }),
    torch: () => "torch.softmax(x, -1)",
  },
);
