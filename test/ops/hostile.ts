/** Ways to spoil a call of an op. */
import fc from "fast-check";
import { bytesPerElement, type DType, dtypes } from "../../src/tensor/dtype.js";

/** A tensor as it crosses. */
export interface Operand {
  dtype: DType;
  shape: number[];
  /** Its raw elements; repeated or cut when the shape has changed. */
  bytes: Uint8Array;
}

/** A call: per input its tensors (none: absent), per attribute its numbers. */
export interface RawCall {
  inputs: Operand[][];
  attributes: number[][];
  wanted: number;
}
/** One way to spoil a call; numbers are taken modulo what there is. */
export type Change =
  | { kind: "resize"; which: number; size: number }
  | { kind: "shape"; input: number; shape: number[] }
  | { kind: "dtype"; input: number; dtype: DType }
  | { kind: "value"; input: number; element: number; value: number }
  | { kind: "alias"; input: number; as: number }
  | { kind: "copies"; input: number; count: number }
  | { kind: "handle"; input: number; handle: number }
  | { kind: "attribute"; attribute: number; element: number; value: number }
  | { kind: "attributes"; attribute: number; values: number[] }
  | { kind: "length"; list: number; length: number }
  | { kind: "wanted"; wanted: number }
  | { kind: "wire"; extra: number };

const sizes = [0, 1, 2, 3, 5, 8, 17];
const values = [
  Number.NaN,
  Infinity,
  -Infinity,
  -(2 ** 31),
  2 ** 31 - 1,
  -1,
  0,
  1,
  2,
  5,
  8,
  255,
  1e38,
  1e-40,
];
const numbers = [
  Number.NaN,
  Infinity,
  -Infinity,
  -1,
  -2,
  0,
  1,
  2,
  3,
  7,
  0.5,
  -0.5,
  1e4,
  1e9,
  2 ** 31,
  2 ** 53,
  -(2 ** 63),
  1e300,
];
const handles = [0, -1, 0.5, Number.NaN, Infinity, 1, 2 ** 24, 2 ** 52, 2 ** 53];

const index = fc.nat(15);
const size = fc.constantFrom(...sizes);
const number = fc.oneof(fc.constantFrom(...numbers), fc.integer({ min: -9, max: 40 }), fc.double());
const kind = <K extends Change["kind"]>(name: K) => fc.constant(name);
export const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: kind("resize"), which: index, size }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: kind("shape"),
      input: index,
      shape: fc.array(size, { maxLength: 5 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: kind("shape"),
      input: index,
      shape: fc.array(fc.constantFrom(0, 1, 2), { maxLength: 8 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: kind("dtype"), input: index, dtype: fc.constantFrom(...dtypes) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: kind("value"),
      input: index,
      element: fc.nat(1000),
      value: fc.constantFrom(...values),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind("alias"), input: index, as: index }) },
  { weight: 2, arbitrary: fc.record({ kind: kind("copies"), input: index, count: fc.nat(3) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: kind("handle"),
      input: index,
      handle: fc.constantFrom(...handles),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: kind("attribute"),
      attribute: index,
      element: index,
      value: number,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: kind("attributes"),
      attribute: index,
      values: fc.array(number, { maxLength: 10 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind("length"), list: index, length: number }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: kind("wanted"), wanted: fc.oneof(fc.nat(7), number) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: kind("wire"), extra: fc.integer({ min: -3, max: 3 }) }),
  },
);

export const at = <T>(items: readonly T[], i: number): T | undefined =>
  items[i % (items.length || 1)];

/** Changes of the tensors of a call, in place. */
export function changeOperands(inputs: Operand[][], changes: readonly Change[]): void {
  for (const change of changes) {
    if (change.kind === "resize") {
      const present = [...new Set(inputs.flat().flatMap(({ shape }) => shape))];
      const from = at(present, change.which);
      for (const operand of inputs.flat())
        operand.shape = operand.shape.map((size) => (size === from ? change.size : size));
    } else if (change.kind === "alias") {
      const [target, source] = [at(inputs, change.input), at(inputs, change.as)];
      if (target?.[0] && source?.[0]) target[0] = source[0];
    } else if (change.kind === "copies") {
      const target = at(inputs, change.input);
      if (target)
        target.splice(
          0,
          target.length,
          ...Array.from({ length: change.count }, () => target[0] ?? operand()),
        );
    } else if ("input" in change) {
      const target = at(
        inputs.filter(({ length }) => length > 0),
        change.input,
      )?.[0];
      if (!target) continue;
      if (change.kind === "shape") target.shape = change.shape;
      else if (change.kind === "dtype") target.dtype = change.dtype;
      else if (change.kind === "value") {
        const data = arrayOf(target);
        if (data.length > 0) data[change.element % data.length] = change.value;
        target.bytes = new Uint8Array(data.buffer);
      }
    }
  }
}

export const operand = (): Operand => ({
  dtype: "float32",
  shape: [2, 3],
  bytes: new Uint8Array(24),
});
export const copyOf = ({ dtype, shape, bytes }: Operand): Operand => ({
  dtype,
  shape: [...shape],
  bytes,
});

const arrays = {
  float32: Float32Array,
  bfloat16: Uint16Array,
  int32: Int32Array,
  uint8: Uint8Array,
  float64: Float64Array,
};

/** The elements of an operand: as many as its shape says. */
export function arrayOf({ dtype, shape, bytes }: Operand) {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  const data = new Uint8Array(size * bytesPerElement[dtype]);
  if (bytes.length > 0) for (let i = 0; i < data.length; i++) data[i] = bytes[i % bytes.length]!;
  return new arrays[dtype](data.buffer);
}
