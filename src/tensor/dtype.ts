import { DTypeError } from "../errors.js";

/** Element types, in the order of their wire codes (`DType` of native/core/dtype.h). */
export const dtypes = ["float32", "bfloat16", "int32", "uint8", "float64"] as const;

/** `bfloat16` values cross to JavaScript as their 16 bits in a `Uint16Array`. */
export type DType = (typeof dtypes)[number];

/** The typed array that holds elements of each dtype on the JavaScript side. */
export interface DTypeArrays {
  float32: Float32Array;
  bfloat16: Uint16Array;
  int32: Int32Array;
  uint8: Uint8Array;
  float64: Float64Array;
}

export type TensorData = DTypeArrays[DType];

const constructors = {
  float32: Float32Array,
  bfloat16: Uint16Array,
  int32: Int32Array,
  uint8: Uint8Array,
  float64: Float64Array,
} as const;

export const bytesPerElement: Readonly<Record<DType, number>> = {
  float32: 4,
  bfloat16: 2,
  int32: 4,
  uint8: 1,
  float64: 8,
};

export const dtypeCode = (dtype: DType): number => {
  const code = dtypes.indexOf(dtype);
  if (code < 0)
    throw new DTypeError(`${String(dtype)} is not a dtype; there are ${dtypes.join(", ")}`);
  return code;
};

export const isFloat = (dtype: DType): boolean =>
  dtype === "float32" || dtype === "bfloat16" || dtype === "float64";

/** A typed array over `buffer` for elements of `dtype`. */
export const viewOf = (dtype: DType, buffer: ArrayBuffer): TensorData =>
  new constructors[dtype](buffer);

/** Numbers as a typed array of `dtype`; values are converted as JavaScript does (bfloat16: to nearest even). */
export function arrayOf(dtype: DType, values: ArrayLike<number>): TensorData {
  dtypeCode(dtype); // throws for what JavaScript callers may pass
  return dtype === "bfloat16" ? toBFloat16(values) : constructors[dtype].from(values);
}

/** The dtype whose typed array `data` is; `undefined` for other types. A `Uint16Array` is bfloat16. */
export function dtypeOf(data: unknown): DType | undefined {
  for (const dtype of dtypes) if (data instanceof constructors[dtype]) return dtype;
  return undefined;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The upper 16 bits of each float32, rounded to nearest even; a NaN stays a NaN. */
export function toBFloat16(values: ArrayLike<number>): Uint16Array {
  const result = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    float[0] = values[i]!;
    const u = bits[0]!;
    result[i] =
      (u & 0x7fffffff) > 0x7f800000 ? (u >>> 16) | 0x40 : (u + 0x7fff + ((u >>> 16) & 1)) >>> 16;
  }
  return result;
}

/** bfloat16 bits widened to float32, exactly. */
export function fromBFloat16(values: ArrayLike<number>): Float32Array {
  const result = new Uint32Array(values.length);
  for (let i = 0; i < values.length; i++) result[i] = values[i]! << 16;
  return new Float32Array(result.buffer);
}
