import { where } from "../../src/ops/where.js";
import type { Shape } from "../../src/tensor/tensor.js";
import { broadcastElement, broadcastShape } from "./binary.js";
import { type CaseOptions, cases, type HostTensor, hostTensor } from "./case.js";

interface Choice extends CaseOptions {
  condition: Shape;
  a: Shape | number;
  b: Shape | number;
  whole?: boolean;
}

const shapes: readonly Choice[] = [
  { name: "same shape", condition: [3, 63], a: [3, 63], b: [3, 63] },
  { name: "a number", condition: [199], a: [199], b: -Infinity, gradcheck: false },
  { name: "a number first", condition: [3, 7], a: 0.5, b: [3, 7] },
  { name: "a row decides", condition: [7], a: [5, 7], b: [5, 7] },
  { name: "a column decides", condition: [5, 1], a: [5, 63], b: 0 },
  { name: "everything broadcast", condition: [7, 1, 1], a: [5, 1], b: [3] },
  { name: "int32", condition: [3, 63], a: [63], b: -1, whole: true },
  { name: "no rows", condition: [0, 7], a: [7], b: [1, 1] },
  {
    name: "scores of a history",
    condition: [64, 1, 1, 100],
    a: [64, 8, 100, 100],
    b: -Infinity,
    bench: true,
  },
];

export default cases("where", shapes, {
  covers: ["where"],
  inputs(random, { condition, a, b, whole }): Readonly<Record<string, HostTensor>> {
    const draw = (shape: Shape): HostTensor =>
      whole ? random.integers(shape, 1000) : random.normal(shape);
    return {
      condition: random.mask(condition),
      ...(typeof a !== "number" && { a: draw(a) }),
      ...(typeof b !== "number" && { b: draw(b) }),
    };
  },
  run: ({ condition, a, b }, options) =>
    a
      ? where(condition!, a, b ?? (options.b as number))
      : where(condition!, options.a as number, b!),
  reference({ condition, a, b }, options) {
    const shape = [a, b].reduce((s, x) => (x ? broadcastShape(s, x.shape) : s), condition!.shape);
    const pick = (x: HostTensor | undefined, number: number, i: number): number =>
      x ? broadcastElement(x, shape, i) : number;
    const result = hostTensor(shape, (i) =>
      broadcastElement(condition!, shape, i)
        ? pick(a, options.a as number, i)
        : pick(b, options.b as number, i),
    );
    return options.whole ? { ...result, dtype: "int32" } : result;
  },
  torch: ({ a, b }) =>
    `torch.where(condition.bool(), ${typeof a === "number" ? `float("${a}")` : "a"}, ${typeof b === "number" ? `float("${b}")` : "b"})`,
});
