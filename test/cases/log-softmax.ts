import { logSoftmax } from "../../src/ops/log-softmax.js";
import { cases, hostTensor } from "./case.js";

export default cases(
  "log_softmax",
  [
    { name: "one class", rows: 3, classes: 1 },
    { name: "seven", rows: 2, classes: 7 },
    { name: "sixty-three", rows: 5, classes: 63 },
    { name: "one hundred ninety-nine", rows: 3, classes: 199 },
    { name: "several pieces", rows: 2, classes: 4_999, gradcheck: false },
    { name: "no rows", rows: 0, classes: 5 },
    { name: "narrow", rows: 51_200, classes: 50, bench: true },
    { name: "catalogue", rows: 512, classes: 26_744, bench: true },
  ],
  {
    covers: ["log_softmax", "log_softmax_backward"],
    inputs: (random, { rows, classes }) => ({ x: random.normal([rows, classes], 3) }),
    run: ({ x }) => logSoftmax(x),
    reference({ x }, { rows, classes }) {
      const result = hostTensor([rows, classes], () => 0);
      for (let r = 0; r < rows; r++) {
        const row = x.data.subarray(r * classes, (r + 1) * classes);
        const top = row.reduce((a, b) => Math.max(a, b), -Infinity);
        const logSum = Math.log(row.reduce((sum, value) => sum + Math.exp(value - top), 0));
        row.forEach((value, i) => {
          result.data[r * classes + i] = value - top - logSum;
        });
      }
      return result;
    },
    terms: ({ classes }) => classes,
    work: ({ rows, classes }) => ({ flops: 6 * rows * classes, bytes: 8 * rows * classes }),
    torch: () => "torch.log_softmax(x, -1)",
  },
);
