import { CheckpointError } from "../../errors.js";
import { type DType, fromBFloat16, isFloat, type TensorData, toBFloat16 } from "../dtype.js";
import type { StoredDType } from "./header.js";

const defaults: Readonly<Record<StoredDType, DType>> = {
  F64: "float32",
  F32: "float32",
  F16: "float32",
  BF16: "float32",
  I64: "int32",
  I32: "int32",
  I16: "int32",
  I8: "int32",
  U8: "uint8",
  BOOL: "uint8",
};

/** The dtype that a stored tensor is read as when none is asked for. */
export const defaultDType = (stored: StoredDType): DType => defaults[stored];

/** Whether reading is copying bytes. */
export const sameBytes = (stored: StoredDType, dtype: DType): boolean =>
  (stored === "F64" && dtype === "float64") ||
  (stored === "F32" && dtype === "float32") ||
  (stored === "BF16" && dtype === "bfloat16") ||
  (stored === "I32" && dtype === "int32") ||
  (stored === "U8" && dtype === "uint8");

/** Whether a stored dtype can be read as `dtype`: anything as floating point, integers also as integers. */
export const convertible = (stored: StoredDType, dtype: DType): boolean =>
  isFloat(dtype) || !["F64", "F32", "F16", "BF16"].includes(stored);

const limits = { int32: [-(2 ** 31), 2 ** 31 - 1], uint8: [0, 255] } as const;

/**
 * Converts elements of a file.
 *
 * @param bytes the elements, whole ones
 * @param into  an array of `dtype` that takes them all
 * @param begin which of the tensor's elements is the first, for messages
 * @throws CheckpointError for an integer that `dtype` cannot hold, or a BOOL other than 0 and 1
 */
export function convertInto(
  subject: string,
  stored: StoredDType,
  bytes: ArrayBuffer,
  dtype: DType,
  into: TensorData,
  begin: number,
): void {
  const values = decoded(stored, bytes);
  if (dtype === "int32" || dtype === "uint8") {
    const [low, high] = stored === "BOOL" ? [0, 1] : limits[dtype];
    for (let i = 0; i < values.length; i++)
      if (!(values[i]! >= low && values[i]! <= high))
        throw new CheckpointError(
          `${subject}: element ${begin + i} is ${values[i]}, ` +
            `${stored} read as ${dtype} must be from ${low} to ${high}`,
        );
  }
  into.set(dtype === "bfloat16" ? toBFloat16(values) : values);
}

function decoded(stored: StoredDType, bytes: ArrayBuffer): ArrayLike<number> {
  switch (stored) {
    case "F64":
      return new Float64Array(bytes);
    case "F32":
      return new Float32Array(bytes);
    case "F16":
      return fromFloat16(new Uint16Array(bytes));
    case "BF16":
      return fromBFloat16(new Uint16Array(bytes));
    case "I64":
      return fromInt64(new Int32Array(bytes));
    case "I32":
      return new Int32Array(bytes);
    case "I16":
      return new Int16Array(bytes);
    case "I8":
      return new Int8Array(bytes);
    case "U8":
    case "BOOL":
      return new Uint8Array(bytes);
  }
}

/** IEEE half precision widened to float32, exactly. */
function fromFloat16(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length);
  const result = new Float32Array(bits.buffer);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i]!;
    const sign = (half & 0x8000) << 16;
    const exponent = half & 0x7c00;
    const fraction = half & 0x3ff;
    if (exponent === 0) result[i] = (sign ? -1 : 1) * fraction * 2 ** -24;
    else
      bits[i] =
        sign |
        (exponent === 0x7c00 ? 0x7f800000 : (exponent << 13) + 0x38000000) |
        (fraction << 13);
  }
  return result;
}

/** The smallest number that is rounded to a half-precision infinity. */
export const overflowFloat16 = 65520;

/**
 * Numbers rounded to IEEE half precision, ties to even; a NaN stays a NaN.
 *
 * @returns the 16 bits of each; a finite number beyond the range becomes an infinity
 */
export function toFloat16(values: ArrayLike<number>): Uint16Array {
  const floats = new Float32Array(values);
  const bits = new Uint32Array(floats.buffer);
  const result = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const sign = (bits[i]! >>> 16) & 0x8000;
    const magnitude = bits[i]! & 0x7fffffff;
    if (magnitude > 0x7f800000) result[i] = sign | 0x7e00;
    else if (magnitude >= 0x477ff000) result[i] = sign | 0x7c00;
    else if (magnitude >= 0x38800000)
      result[i] = sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
    else result[i] = sign | roundedToEven(Math.abs(floats[i]!) * 2 ** 24);
  }
  return result;
}

function roundedToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** 64-bit integers, given as pairs of 32-bit halves; beyond ±2^53 rounded. */
function fromInt64(halves: Int32Array): Float64Array {
  const result = new Float64Array(halves.length / 2);
  for (let i = 0; i < result.length; i++)
    result[i] = halves[2 * i + 1]! * 2 ** 32 + (halves[2 * i]! >>> 0);
  return result;
}
