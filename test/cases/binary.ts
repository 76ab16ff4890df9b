import {
  add,
  divide,
  maximum,
  minimum,
  multiply,
  type Operand,
  pow,
  subtract,
} from "../../src/ops/binary.js";
import type { Shape, Tensor } from "../../src/tensor/tensor.js";
import { type CaseOptions, cases, type HostTensor, hostTensor } from "./case.js";

interface Operands extends CaseOptions {
  a: Shape;
  /** A number is not a tensor: it is passed as it is. */
  b: Shape | number;
  /** int32 instead of floating-point numbers. */
  whole?: boolean;
}

const shapes: readonly Operands[] = [
  { name: "scalars", a: [], b: [] },
  { name: "same shape", a: [3, 63], b: [3, 63] },
  { name: "a scalar", a: [7], b: [] },
  { name: "to a scalar", a: [], b: [3, 7] },
  { name: "a number", a: [199], b: 1.5 },
  { name: "a row", a: [5, 199], b: [199] },
  { name: "a column", a: [7, 63], b: [7, 1] },
  { name: "outer", a: [7, 1], b: [1, 63] },
  { name: "checkered", a: [2, 1, 4, 1], b: [3, 1, 5] },
  {
    name: "eight dimensions",
    a: [2, 1, 2, 1, 2, 1, 2, 1],
    b: [1, 3, 1, 2, 1, 3, 1, 2],
    gradcheck: false,
  },
  { name: "several tasks", a: [70, 301], b: [301], gradcheck: false },
  { name: "columns of several tasks", a: [70, 301], b: [70, 1], gradcheck: false },
  { name: "no rows", a: [0, 7], b: [7] },
  { name: "a row for no rows", a: [1, 7], b: [0, 7] },
];
const whole: readonly Operands[] = [
  { name: "int32", a: [3, 63], b: [63], whole: true },
  { name: "int32 and a number", a: [199], b: 3, whole: true },
];
const benches: readonly Operands[] = [
  { name: "sixteen elements", a: [16], b: [16], bench: true },
  { name: "residual", a: [6400, 512], b: [6400, 512], bench: true },
  { name: "bias", a: [6400, 512], b: [512], bench: true },
  { name: "one per row", a: [6400, 512], b: [6400, 1], bench: true },
];

/** What two shapes broadcast to. */
export function broadcastShape(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a.at(i - rank) ?? 1, b.at(i - rank) ?? 1];
    return x === 1 ? y : x;
  });
}

/** The element of `x`, broadcast to `shape`, at a position of `shape`. */
export function broadcastElement(x: HostTensor, shape: Shape, position: number): number {
  let offset = 0;
  for (let d = 1, rest = position, stride = 1; d <= x.shape.length; d++) {
    const size = x.shape.at(-d)!;
    if (size !== 1) offset += (rest % shape.at(-d)!) * stride;
    rest = Math.floor(rest / shape.at(-d)!);
    stride *= size;
  }
  return x.data[offset]!;
}

interface Arithmetic {
  run(a: Operand, b: Operand): Tensor;
  of(a: number, b: number): number;
  torch: string;
  /** Operands from this range. Default: normal ones. */
  range?: readonly [number, number];
  slopes?: readonly string[];
  more?: readonly Operands[];
}

const ops: Readonly<Record<string, Arithmetic>> = {
  add: { run: add, of: (a, b) => a + b, torch: "a + b", more: [...whole, ...benches] },
  subtract: { run: subtract, of: (a, b) => a - b, torch: "a - b", more: whole },
  multiply: {
    run: multiply,
    of: (a, b) => a * b,
    torch: "a * b",
    more: [...whole, ...benches],
  },
  divide: { run: divide, of: (a, b) => a / b, torch: "a / b", range: [0.5, 2] },
  maximum: {
    run: maximum,
    of: Math.max,
    torch: "torch.maximum(a, b)",
    slopes: ["maximum_slope"],
    more: whole,
  },
  minimum: {
    run: minimum,
    of: Math.min,
    torch: "torch.minimum(a, b)",
    slopes: ["maximum_slope"],
    more: whole,
  },
  pow: {
    run: pow,
    of: Math.pow,
    torch: "a ** b",
    range: [0.5, 2],
    slopes: ["pow_base_slope", "pow_exponent_slope"],
  },
};

export default Object.entries(ops).map(([op, { run, of, torch, range, slopes = [], more = [] }]) =>
  cases(op, [...shapes, ...more], {
    covers: [op, ...slopes],
    inputs(random, { a, b, whole }): Readonly<Record<string, HostTensor>> {
      const draw = (shape: Shape): HostTensor =>
        whole
          ? random.integers(shape, 1000)
          : range
            ? random.uniform(shape, ...range)
            : random.normal(shape);
      return typeof b === "number" ? { a: draw(a) } : { a: draw(a), b: draw(b) };
    },
    run: ({ a, b }, { b: number }) => run(a!, b ?? (number as number)),
    reference({ a, b }, options) {
      const shape = b ? broadcastShape(a!.shape, b.shape) : a!.shape;
      const result = hostTensor(shape, (i) =>
        of(
          broadcastElement(a!, shape, i),
          b ? broadcastElement(b, shape, i) : (options.b as number),
        ),
      );
      return options.whole ? { ...result, dtype: "int32" } : result;
    },
    torch: () => torch,
  }),
);
