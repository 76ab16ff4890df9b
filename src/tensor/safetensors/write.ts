import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { CheckpointError, UsageError, UserLlmError } from "../../errors.js";
import {
  arrayOf,
  bytesPerElement,
  type DType,
  fromBFloat16,
  isFloat,
  type TensorData,
} from "../dtype.js";
import type { Tensor } from "../tensor.js";
import { maxHeaderBytes } from "./header.js";
import { shown } from "./json-reader.js";

export interface SaveSafetensorsOptions {
  /** Strings to keep with the tensors. `format: "pt"` is added, as other libraries expect it. */
  metadata?: Readonly<Record<string, string>> | undefined;
  /** What floating-point tensors are stored as. Default: as they are. */
  dtype?: Extract<DType, "float32" | "bfloat16" | "float64"> | undefined;
  /** Splits the checkpoint into files of at most this many bytes of tensors; one tensor is never split. */
  maxShardBytes?: number | undefined;
}

/** In the order in which tensors are stored, which keeps each one aligned. */
const storedNames = {
  float64: "F64",
  float32: "F32",
  int32: "I32",
  bfloat16: "BF16",
  uint8: "U8",
} as const;
const storedOrder = Object.keys(storedNames) as DType[];

interface Entry {
  readonly name: string;
  readonly tensor: Tensor;
  /** As it is stored. */
  readonly dtype: DType;
  readonly bytes: number;
}

/**
 * Writes tensors as the reference implementation does, byte for byte. The file appears under its name once it is whole
 * and on the disk; after an error the old one, if any, is still there. Do not change the tensors before the promise
 * settles: they are read one after the other.
 *
 *     await saveSafetensors("model.safetensors", model.stateDict(), { dtype: "bfloat16" });
 *
 * With `maxShardBytes`, `model.safetensors` becomes `model-00001-of-00003.safetensors`, ... and
 * `model.safetensors.index.json`, unless one file is enough.
 *
 * @throws CheckpointError when the files cannot be written
 * @throws NativeError when a tensor could not be computed; nothing is written then
 */
export async function saveSafetensors(
  path: string,
  tensors: Readonly<Record<string, Tensor>> | ReadonlyMap<string, Tensor>,
  { metadata = {}, dtype, maxShardBytes = Infinity }: SaveSafetensorsOptions = {},
): Promise<void> {
  if (!path.endsWith(".safetensors"))
    throw new UsageError(`saveSafetensors: ${path} must end in .safetensors`);
  if (!(maxShardBytes > 0))
    throw new UsageError(`saveSafetensors: maxShardBytes must be above 0, got ${maxShardBytes}`);
  const entries = [...(tensors instanceof Map ? tensors : Object.entries(tensors))].map(
    ([name, tensor]) => entryOf(name, tensor, dtype),
  );
  const shards = split(entries, maxShardBytes);
  const kept = { format: "pt", ...metadata };
  const files = new Files();
  try {
    if (shards.length === 1) {
      await files.write(path, (handle) => writeTensors(handle, path, shards[0]!, kept));
      return await files.publish();
    }
    const weightMap: [string, string][] = [];
    const stem = path.slice(0, -".safetensors".length);
    for (const [i, shard] of shards.entries()) {
      const place = `${stem}-${fiveDigits(i + 1)}-of-${fiveDigits(shards.length)}.safetensors`;
      await files.write(place, (handle) => writeTensors(handle, place, shard, kept));
      for (const { name } of shard) weightMap.push([name, basename(place)]);
    }
    const index = {
      metadata: { total_size: entries.reduce((sum, { bytes }) => sum + bytes, 0) },
      weight_map: Object.fromEntries(weightMap),
    };
    await files.write(`${path}.index.json`, (handle) =>
      writeFully(handle, Buffer.from(`${JSON.stringify(index, null, 2)}\n`)),
    );
    await files.publish();
    // Readers prefer the single file; an older one would hide what was written.
    await rm(path, { force: true });
  } catch (cause) {
    await files.discard();
    if (cause instanceof UserLlmError) throw cause;
    throw new CheckpointError(`${path}: cannot be written: ${(cause as Error).message}`, { cause });
  }
}

const fiveDigits = (number: number): string => String(number).padStart(5, "0");

function entryOf(name: string, tensor: Tensor, wanted: DType | undefined): Entry {
  if (name === "__metadata__" || Buffer.from(name).toString() !== name)
    throw new UsageError(`saveSafetensors: "${shown(name)}" cannot be the name of a tensor`);
  const dtype = wanted && isFloat(tensor.dtype) ? wanted : tensor.dtype;
  return { name, tensor, dtype, bytes: tensor.size * bytesPerElement[dtype] };
}

/** Consecutive tensors together until the next one would be too much. */
function split(entries: readonly Entry[], maxShardBytes: number): Entry[][] {
  const shards: Entry[][] = [[]];
  let room = maxShardBytes;
  for (const entry of entries) {
    if (entry.bytes > room && shards.at(-1)!.length > 0) {
      shards.push([]);
      room = maxShardBytes;
    }
    shards.at(-1)!.push(entry);
    room -= entry.bytes;
  }
  return shards;
}

async function writeTensors(
  handle: FileHandle,
  path: string,
  entries: readonly Entry[],
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  const ordered = [...entries].sort(
    (a, b) =>
      storedOrder.indexOf(a.dtype) - storedOrder.indexOf(b.dtype) ||
      Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  );
  let offset = 0;
  const described = ordered.map(({ name, tensor, dtype, bytes }) => {
    const range = [offset, (offset += bytes)];
    return [name, { dtype: storedNames[dtype], shape: tensor.shape, data_offsets: range }] as const;
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
  await writeFully(handle, header);
  for (const { tensor, dtype } of ordered) {
    const { buffer, byteOffset, byteLength } = stored(await tensor.data(), tensor.dtype, dtype);
    await writeFully(handle, Buffer.from(buffer, byteOffset, byteLength));
  }
}

function stored(data: TensorData, from: DType, to: DType): TensorData {
  if (from === to) return data;
  return arrayOf(to, from === "bfloat16" ? fromBFloat16(data) : data);
}

async function writeFully(handle: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
}

/** Files that appear together, or not at all. */
class Files {
  readonly #written: { temporary: string; path: string }[] = [];

  /** Writes a file under another name in the same folder. */
  async write(path: string, body: (handle: FileHandle) => Promise<void>): Promise<void> {
    const temporary = join(
      dirname(path),
      `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`,
    );
    const handle = await open(temporary, "wx");
    this.#written.push({ temporary, path });
    try {
      await body(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  /** Gives all files their names, in the order in which they were written. */
  async publish(): Promise<void> {
    for (let next = this.#written[0]; next; next = this.#written[0]) {
      await rename(next.temporary, next.path);
      this.#written.shift();
      if (this.#written.length === 0) await syncFolder(dirname(next.path));
    }
  }

  async discard(): Promise<void> {
    for (const { temporary } of this.#written) await rm(temporary, { force: true });
  }
}

/** Makes renames last. Some file systems do not offer it, and the files are whole without it. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {}
}
