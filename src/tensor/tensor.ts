import { NativeError, ShapeError, UsageError } from "../errors.js";
import { native, nativeError } from "../native.js";
import {
  arrayOf,
  type DType,
  type DTypeArrays,
  dtypeCode,
  dtypeOf,
  dtypes,
  type TensorData,
  viewOf,
} from "./dtype.js";
import { adopt, forget } from "./memory.js";

export type Shape = readonly number[];

/** Where a tensor lives. */
export type Device = "cpu";

/** How a recorded tensor was computed; set and read by the tape. */
export interface Trace {
  readonly tape: object;
}

/** Nested arrays of numbers, as `tensor([[1, 2], [3, 4]])`. */
export type NestedNumbers = number | readonly NestedNumbers[];

/**
 * An immutable n-dimensional array, contiguous and row-major, of up to 8 dimensions.
 *
 * A tensor is a handle: computing returns at once, and `data()` or `item()` wait. Memory lives until the last handle
 * on it is disposed; `tidy()` does that for whole functions.
 */
export class Tensor implements Disposable {
  readonly device: Device = "cpu";
  /** @internal */
  trace: Trace | undefined = undefined;
  #disposed = false;

  /** @internal Use `tensor()`, `zeros()`, ... */
  constructor(
    /** @internal */
    readonly handle: number,
    readonly dtype: DType,
    /** Sizes of the dimensions; `[]` for a scalar. */
    readonly shape: Shape,
  ) {
    adopt(this);
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Number of dimensions. */
  get rank(): number {
    return this.shape.length;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /**
   * Waits until the tensor is computed and copies its elements to JavaScript, row-major.
   *
   * @throws NativeError when the op that made it, or one it depends on, failed
   */
  async data(): Promise<TensorData> {
    return this.#read("data");
  }

  /** `data()` of a tensor whose dtype is known. */
  async dataAs<D extends DType>(dtype: D): Promise<DTypeArrays[D]> {
    if (this.dtype !== dtype)
      throw new UsageError(`dataAs: the tensor is ${this.dtype}, not ${dtype}; cast it first`);
    return (await this.#read("dataAs")) as DTypeArrays[D];
  }

  /** The only element of a tensor of size 1, as a number. */
  async item(): Promise<number> {
    if (this.size !== 1)
      throw new ShapeError(`item: [${this.shape.join(", ")}] has ${this.size} elements, not 1`);
    const [value] = await this.#read("item");
    return this.dtype === "bfloat16" ? bfloat16ToNumber(value!) : value!;
  }

  /** The elements as nested arrays; a number for a scalar. */
  async toArray(): Promise<NestedNumbers> {
    const data = await this.#read("toArray");
    const numbers = this.dtype === "bfloat16" ? Array.from(data, bfloat16ToNumber) : data;
    return nest(numbers, this.shape, 0, this.size);
  }

  /** Lets go of the memory. Harmless when done twice. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    forget(this);
    native.release(this.handle);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `Tensor(${this.dtype} [${this.shape.join(", ")}]${this.#disposed ? ", disposed" : ""})`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  async #read(verb: string): Promise<TensorData> {
    if (this.#disposed) throw new UsageError(`${verb}: ${this.toString()} was disposed`);
    const pending = native.read(this.handle);
    if (typeof pending === "number") throw nativeError(pending);
    const caller = new Error();
    const bytes = await pending;
    if (typeof bytes !== "string") return viewOf(this.dtype, bytes);
    const hint = native.info().synchronous ? "" : "; USER_LLM_SYNC=1 shows the call";
    throw new NativeError(`${bytes} (found by ${verb}() of ${this.toString()})${hint}`, {
      cause: caller,
    });
  }
}

const bfloat16ToNumber = (bits: number): number =>
  new Float32Array(new Uint32Array([bits << 16]).buffer)[0]!;

/** Product of the sizes. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const dimension of shape) size *= dimension;
  return size;
}

/** `[2, 3]` */
export const formatShape = (shape: Shape): string => `[${shape.join(", ")}]`;

export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((size, i) => size === b[i]);

export interface TensorOptions {
  /** Default: the length of the data, or the nesting of the arrays. */
  shape?: Shape;
  /** Default: that of a typed array, else `float32`. */
  dtype?: DType;
}

/**
 * A tensor with the given elements: nested arrays of numbers, or a typed array with a shape. The data is copied.
 *
 * @throws ShapeError when the arrays are ragged, or the shape does not fit the number of elements
 */
export function tensor(
  data: NestedNumbers | TensorData,
  { shape, dtype }: TensorOptions = {},
): Tensor {
  if (typeof data === "number" || Array.isArray(data)) {
    const values: number[] = [];
    const nesting = flatten(data as NestedNumbers, 0, values, []);
    const kind = dtype ?? "float32";
    return upload(kind, arrayOf(kind, values), shape ?? nesting);
  }
  const kind = dtypeOf(data);
  if (!kind)
    throw new UsageError(
      "tensor: data must be a number, nested arrays, or a Float32Array, Uint16Array (bfloat16), Int32Array, " +
        "Uint8Array or Float64Array",
    );
  const typed = data as TensorData;
  const wanted = dtype ?? kind;
  return upload(wanted, wanted === kind ? typed : arrayOf(wanted, typed), shape ?? [typed.length]);
}

/** A new handle on the memory of `source`: `shape` from element `offset` on. Not recorded by the tape. */
export function viewOfTensor(source: Tensor, shape: Shape, offset = 0): Tensor {
  requireLive("view", "the tensor", source);
  return received(native.view(source.handle, offset, writeSizes(shape)));
}

/** @throws UsageError unless `value` is a tensor that was not disposed */
export function requireLive(op: string, role: string, value: unknown): asserts value is Tensor {
  if (!(value instanceof Tensor)) {
    const kind = value === null ? "null" : typeof value;
    throw new UsageError(`${op}: ${role} must be a tensor, got ${kind}`);
  }
  if (value.disposed) throw new UsageError(`${op}: ${role} ${value.toString()} was disposed`);
}

/** The output tensors that the native side has put on the wire; `undefined` for those it did not make. */
export function receive(count: number): (Tensor | undefined)[] {
  if (count < 0) throw nativeError(count);
  const { wire } = native;
  const tensors = new Array<Tensor | undefined>(count);
  for (let i = 0, at = 0; i < count; i++) {
    const handle = wire[at]!;
    const dtype = dtypes[wire[at + 1]!]!;
    const rank = wire[at + 2]!;
    const shape = new Array<number>(rank);
    for (let d = 0; d < rank; d++) shape[d] = wire[at + 3 + d]!;
    at += 3 + rank;
    tensors[i] = handle === 0 ? undefined : new Tensor(handle, dtype, shape);
  }
  return tensors;
}

const received = (count: number): Tensor => receive(count)[0]!;

function upload(dtype: DType, data: TensorData, shape: Shape): Tensor {
  return received(native.upload(dtypeCode(dtype), data, writeSizes(shape)));
}

function writeSizes(shape: Shape): number {
  if (shape.length > 64)
    throw new ShapeError(`a tensor has at most 8 dimensions, got ${shape.length}`);
  for (let i = 0; i < shape.length; i++) native.wire[i] = shape[i]!;
  return shape.length;
}

function flatten(data: NestedNumbers, depth: number, into: number[], shape: number[]): number[] {
  if (typeof data === "number") {
    if (depth !== shape.length)
      throw new ShapeError(`tensor: the arrays are ragged (a number at depth ${depth})`);
    into.push(data);
    return shape;
  }
  if (!Array.isArray(data))
    throw new UsageError(`tensor: nested arrays must hold numbers, got ${typeof data}`);
  if (into.length === 0 && depth === shape.length) shape.push(data.length);
  else if (shape[depth] !== data.length)
    throw new ShapeError(
      `tensor: the arrays are ragged (${data.length} elements at depth ${depth}, ${shape[depth]} before)`,
    );
  for (const item of data) flatten(item as NestedNumbers, depth + 1, into, shape);
  return shape;
}

function nest(data: ArrayLike<number>, shape: Shape, begin: number, size: number): NestedNumbers {
  const [length, ...rest] = shape;
  if (length === undefined) return data[begin]!;
  const step = length === 0 ? 0 : size / length;
  return Array.from({ length }, (_, i) => nest(data, rest, begin + i * step, step));
}
