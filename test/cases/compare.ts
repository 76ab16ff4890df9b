import {
  equal,
  greater,
  greaterEqual,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  notEqual,
} from "../../src/ops/compare.js";
import type { Shape } from "../../src/tensor/tensor.js";
import { broadcastElement, broadcastShape } from "./binary.js";
import { type CaseOptions, cases, type HostTensor, hostTensor } from "./case.js";

interface Comparison extends CaseOptions {
  a: Shape;
  b: Shape | number;
  dtype?: "int32" | "uint8";
}

const shapes: readonly Comparison[] = [
  { name: "same shape", a: [3, 63], b: [3, 63] },
  { name: "a number", a: [199], b: 1 },
  { name: "a row", a: [5, 199], b: [199] },
  { name: "a column", a: [7, 63], b: [7, 1] },
  { name: "outer", a: [1, 63], b: [7, 1] },
  { name: "int32", a: [3, 63], b: [63], dtype: "int32" },
  { name: "int32 and a number", a: [7], b: 2, dtype: "int32" },
  { name: "uint8", a: [3, 63], b: [], dtype: "uint8" },
  { name: "no rows", a: [0, 7], b: [7] },
  { name: "mask", a: [6400, 512], b: 0, bench: true },
];

const uint8 = (x: HostTensor): HostTensor => ({ ...x, dtype: "uint8" });

const comparisons = {
  equal: { run: equal, holds: (a: number, b: number) => a === b, torch: "a == b" },
  not_equal: { run: notEqual, holds: (a: number, b: number) => a !== b, torch: "a != b" },
  less: { run: less, holds: (a: number, b: number) => a < b, torch: "a < b" },
  less_equal: { run: lessEqual, holds: (a: number, b: number) => a <= b, torch: "a <= b" },
  greater: { run: greater, holds: (a: number, b: number) => a > b, torch: "a > b" },
  greater_equal: { run: greaterEqual, holds: (a: number, b: number) => a >= b, torch: "a >= b" },
};

const logical = {
  logical_and: { run: logicalAnd, holds: (a: number, b: number) => a !== 0 && b !== 0 },
  logical_or: { run: logicalOr, holds: (a: number, b: number) => a !== 0 || b !== 0 },
};

export default [
  ...Object.entries(comparisons).map(([op, { run, holds, torch }]) =>
    cases(op, shapes, {
      covers: [op],
      // Few different numbers, NaN among the floating-point ones: there are ties.
      inputs(random, { a, b, dtype }): Readonly<Record<string, HostTensor>> {
        const draw = (shape: Shape): HostTensor => {
          const whole = random.integers(shape, 4);
          return dtype
            ? { ...whole, dtype }
            : random.values(
                shape,
                whole.data.map((x) => (x === 3 ? NaN : x)),
              );
        };
        return typeof b === "number" ? { a: draw(a) } : { a: draw(a), b: draw(b) };
      },
      run: ({ a, b }, { b: number }) => run(a!, b ?? (number as number)),
      reference({ a, b }, options) {
        const shape = b ? broadcastShape(a!.shape, b.shape) : a!.shape;
        return uint8(
          hostTensor(shape, (i) =>
            Number(
              holds(
                broadcastElement(a!, shape, i),
                b ? broadcastElement(b, shape, i) : (options.b as number),
              ),
            ),
          ),
        );
      },
      differentiable: [],
      torch: ({ b }) => (typeof b === "number" ? torch.replace("b", String(b)) : torch),
    }),
  ),
  ...Object.entries(logical).map(([op, { run, holds }]) =>
    cases(
      op,
      [
        { name: "same shape", a: [3, 63], b: [3, 63] },
        { name: "a row", a: [5, 199], b: [199] },
        { name: "a row first", a: [199], b: [5, 199] },
        { name: "no rows", a: [0, 7], b: [7] },
      ],
      {
        covers: [op],
        inputs: (random, { a, b }) => ({
          a: uint8(random.integers(a, 3)),
          b: uint8(random.integers(b, 3)),
        }),
        run: ({ a, b }) => run(a, b),
        reference({ a, b }) {
          const shape = broadcastShape(a.shape, b.shape);
          return uint8(
            hostTensor(shape, (i) =>
              Number(holds(broadcastElement(a, shape, i), broadcastElement(b, shape, i))),
            ),
          );
        },
      },
    ),
  ),
  cases("logical_not", [{ name: "a mask", shape: [3, 63] }], {
    covers: ["equal"],
    inputs: (random, { shape }) => ({ x: random.mask(shape) }),
    run: ({ x }) => logicalNot(x),
    reference: ({ x }) => uint8(hostTensor(x.shape, (i) => 1 - x.data[i]!)),
  }),
];
