import { broadcastTo } from "../../src/ops/broadcast-to.js";
import { cases, hostTensor } from "./case.js";

export default cases(
  "broadcast_to",
  [
    { name: "scalar", from: [], shape: [7] },
    { name: "rows", from: [63], shape: [3, 63] },
    { name: "columns", from: [7, 1], shape: [7, 199] },
    { name: "between", from: [2, 1, 3], shape: [2, 5, 3] },
    { name: "checkered", from: [1, 3, 1, 5], shape: [2, 3, 4, 5] },
    { name: "as it is", from: [2, 3], shape: [2, 3] },
    { name: "to nothing", from: [1, 3], shape: [0, 3] },
    { name: "latents for every user", from: [16, 512], shape: [64, 16, 512], bench: true },
    { name: "one value", from: [], shape: [6400, 512], bench: true },
  ],
  {
    covers: ["broadcast_to"],
    inputs: (random, { from }) => ({ x: random.normal(from) }),
    run: ({ x }, { shape }) => broadcastTo(x, shape),
    reference: ({ x }, { shape }) =>
      hostTensor(shape, (i) => {
        let offset = 0;
        for (let d = 1, rest = i, stride = 1; d <= x.shape.length; d++) {
          offset += (x.shape.at(-d) === 1 ? 0 : rest % shape.at(-d)!) * stride;
          rest = Math.floor(rest / shape.at(-d)!);
          stride *= x.shape.at(-d)!;
        }
        return x.data[offset]!;
      }),
    torch: ({ shape }) => `x.expand([${shape}]).clone()`,
  },
);
