import { gather } from "../../src/ops/gather.js";
import { cases, hostTensor } from "./case.js";

export default cases(
  "gather",
  [
    { name: "one each", shape: [7, 5], index: [7, 1], axis: -1 },
    { name: "more than there are", shape: [3, 2], index: [3, 63], axis: 1 },
    { name: "rows", shape: [5, 7], index: [199, 7], axis: 0 },
    { name: "smaller elsewhere", shape: [3, 4, 5], index: [2, 6, 3], axis: 1 },
    { name: "leading, smaller elsewhere", shape: [3, 4, 5], index: [4, 2, 3], axis: 0 },
    { name: "nothing", shape: [3, 4], index: [0, 4], axis: 1 },
    {
      name: "targets in the catalogue",
      shape: [512, 26_744],
      index: [512, 1],
      axis: -1,
      bench: true,
    },
    { name: "events", shape: [64, 100, 128], index: [64, 50, 128], axis: 1, bench: true },
  ],
  {
    covers: ["gather", "gather_backward"],
    inputs: (random, { shape, index, axis }) => ({
      x: random.normal(shape),
      index: random.integers(index, shape.at(axis)!),
    }),
    run: ({ x, index }, { axis }) => gather(x, index, axis),
    reference({ x, index }, { axis }) {
      const rank = x.shape.length;
      const at = axis < 0 ? axis + rank : axis;
      return hostTensor(index.shape, (i) => {
        let offset = 0;
        for (let d = rank - 1, rest = i, stride = 1; d >= 0; d--) {
          offset += (d === at ? index.data[i]! : rest % index.shape[d]!) * stride;
          rest = Math.floor(rest / index.shape[d]!);
          stride *= x.shape[d]!;
        }
        return x.data[offset]!;
      });
    },
    terms: ({ index, axis }) => index.at(axis)!,
    torch: ({ axis }) => `torch.gather(x, ${axis}, index.long())`,
  },
);
