import type { FileHandle } from "node:fs/promises";
import { CheckpointError, UsageError } from "../../errors.js";
import { type DType, fromBFloat16, isFloat, type TensorData, toBFloat16 } from "../dtype.js";
import { formatShape, type Shape, sameShape, sizeOf, Tensor, viewOfTensor } from "../tensor.js";
import { overflowFloat16, toFloat16 } from "./convert.js";
import { maxHeaderBytes, type StoredDType, storedBytes } from "./header.js";
import { shown } from "./json-reader.js";

/** A tensor that is made when its turn comes, and disposed once it is written: one at a time is in memory. */
export interface DeferredTensor {
  readonly shape: Shape;
  readonly dtype: DType;
  make(): Tensor;
}

/** What floating-point tensors can be stored as. */
export type StorageDType = "float32" | "bfloat16" | "float16" | "float64";

export interface Entry {
  readonly name: string;
  readonly tensor: Tensor | DeferredTensor;
  readonly stored: StoredDType;
  readonly bytes: number;
}

/** What all files of a checkpoint have in common. */
export interface Writing {
  readonly metadata: Readonly<Record<string, string>>;
  /** Called for every piece of a tensor that is written; may throw. */
  advance(bytes: number): void;
}

const storedNames = {
  float64: "F64",
  float32: "F32",
  int32: "I32",
  bfloat16: "BF16",
  float16: "F16",
  uint8: "U8",
} as const satisfies Record<DType | StorageDType, StoredDType>;

/** In which order tensors are stored, which keeps each one aligned. */
const storedOrder: readonly StoredDType[] = Object.values(storedNames);

/** Elements that are converted and written before others get their turn. */
const blockSize = 1 << 20;

/** @throws UsageError when the name cannot be a tensor's */
export function entryOf(
  name: string,
  tensor: Tensor | DeferredTensor,
  wanted: StorageDType | undefined,
): Entry {
  if (name === "__metadata__" || Buffer.from(name).toString() !== name)
    throw new UsageError(`saveSafetensors: "${shown(name)}" cannot be the name of a tensor`);
  const stored = storedNames[wanted && isFloat(tensor.dtype) ? wanted : tensor.dtype];
  return { name, tensor, stored, bytes: sizeOf(tensor.shape) * storedBytes[stored] };
}

/** Writes a whole file: the header, then the tensors. */
export async function writeTensors(
  handle: FileHandle,
  path: string,
  entries: readonly Entry[],
  writing: Writing,
): Promise<void> {
  const ordered = [...entries].sort(
    (a, b) =>
      storedOrder.indexOf(a.stored) - storedOrder.indexOf(b.stored) ||
      Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  );
  await writeFully(handle, headerOf(path, ordered, writing));
  for (const entry of ordered) await writeEntry(handle, path, entry, writing);
}

function headerOf(path: string, ordered: readonly Entry[], { metadata }: Writing): Buffer {
  let offset = 0;
  const described = ordered.map(({ name, tensor: { shape }, stored, bytes }) => {
    const range = [offset, (offset += bytes)];
    return [name, { dtype: stored, shape, data_offsets: range }] as const;
  });
  // Not one object: integer-like names would come first in it.
  const parts = [["__metadata__", metadata] as const, ...described].map(
    ([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`,
  );
  const text = Buffer.from(`{${parts.join(",")}}`);
  const header = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, " ");
  if (header.length - 8 > maxHeaderBytes)
    throw new CheckpointError(`${path}: the header would be longer than ${maxHeaderBytes} bytes`);
  header.writeBigUInt64LE(BigInt(header.length - 8));
  text.copy(header, 8);
  return header;
}

async function writeEntry(
  handle: FileHandle,
  path: string,
  { name, tensor, stored }: Entry,
  { advance }: Writing,
): Promise<void> {
  const subject = `${path}: ${shown(name)}`;
  const made = tensor instanceof Tensor ? tensor : makeNow(subject, tensor);
  try {
    // At least once: reading is what tells that a tensor is disposed, or could not be computed.
    for (let at = 0; at < made.size || at === 0; at += blockSize) {
      using piece = viewOfTensor(made, [Math.min(blockSize, made.size - at)], at);
      const data = await piece.data();
      const { buffer, byteOffset, byteLength } = asStored(subject, data, made.dtype, stored);
      await writeFully(handle, Buffer.from(buffer, byteOffset, byteLength));
      advance(byteLength);
    }
  } finally {
    if (made !== tensor) made.dispose();
  }
}

function makeNow(subject: string, { shape, dtype, make }: DeferredTensor): Tensor {
  const made = make();
  if (made.dtype === dtype && sameShape(made.shape, shape)) return made;
  made.dispose();
  throw new UsageError(
    `${subject}: ${dtype} ${formatShape(shape)} was promised, ${made.dtype} ${formatShape(made.shape)} made`,
  );
}

/** Elements of a tensor of dtype `from` as a file has them. */
function asStored(subject: string, data: TensorData, from: DType, to: StoredDType): TensorData {
  if (storedNames[from] === to) return data;
  const values = from === "bfloat16" ? fromBFloat16(data) : data;
  switch (to) {
    case "F32":
      return new Float32Array(values);
    case "F64":
      return new Float64Array(values);
    case "BF16":
      return toBFloat16(values);
    default:
      requireFloat16(subject, values);
      return toFloat16(values);
  }
}

/** An infinity in place of a number would go unnoticed until the model talks nonsense. */
function requireFloat16(subject: string, values: TensorData): void {
  const wrong = values.find(
    (value) => Math.abs(value) >= overflowFloat16 && Number.isFinite(value),
  );
  if (wrong !== undefined)
    throw new CheckpointError(`${subject}: float16 cannot hold ${wrong}; save it as bfloat16`);
}

export async function writeFully(handle: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
}
