import { type FileHandle, open, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { CheckpointError, UserLlmError } from "../../errors.js";
import {
  bytesPerElement,
  type DType,
  dtypeCode,
  isFloat,
  type TensorData,
  viewOf,
} from "../dtype.js";
import { formatShape, sizeOf, type Tensor, tensor } from "../tensor.js";
import { convertInto, convertible, defaultDType, sameBytes } from "./convert.js";
import {
  type Header,
  maxHeaderBytes,
  parseHeader,
  parseIndex,
  type StoredDType,
  type StoredTensor,
  storedBytes,
} from "./header.js";
import { shown, type Waiting } from "./json-reader.js";

const pieceBytes = 1 << 16;
/** Elements that are read and converted before others get their turn. */
const blockSize = 1 << 20;
const maxRank = 8;
const maxSize = 2 ** 48;

/** What a file says of a tensor. */
export interface SafetensorsInfo {
  /** As stored. */
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  readonly bytes: number;
  /** The file it is in. */
  readonly file: string;
}

export interface ReadOptions {
  /**
   * Any stored dtype converts to floating point, integers also to `int32` and `uint8` if every value fits.
   * Default: `float32` for floating point, `int32` for integers, `uint8` for U8 and BOOL.
   */
  dtype?: DType | undefined;
  /** Aborting rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

interface Shard {
  readonly path: string;
  readonly handle: FileHandle;
  readonly header: Header;
}

/** A tensor in a file, and what it is to be read as. */
interface Reading {
  /** For messages. */
  readonly subject: string;
  readonly handle: FileHandle;
  readonly stored: StoredTensor;
  readonly dtype: DType;
}

/** An open checkpoint: one safetensors file, or several with an index. */
export class SafetensorsFile implements AsyncDisposable {
  readonly #shards: readonly Shard[];
  readonly #tensors = new Map<string, { shard: Shard; stored: StoredTensor }>();
  /** The `__metadata__` of all files together. */
  readonly metadata: Readonly<Record<string, string>>;

  /** @internal Use `openSafetensors()`. */
  constructor(shards: readonly Shard[]) {
    this.#shards = shards;
    this.metadata = Object.fromEntries(
      shards.flatMap(({ header }) => Object.entries(header.metadata)),
    );
    for (const shard of shards)
      for (const [name, stored] of shard.header.tensors) this.#tensors.set(name, { shard, stored });
  }

  /** The tensors' names, in the order of the files' headers. */
  get names(): string[] {
    return [...this.#tensors.keys()];
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /** @throws CheckpointError when there is no such tensor */
  info(name: string): SafetensorsInfo {
    const { shard, stored } = this.#find(name);
    const { dtype, shape, bytes } = stored;
    return { dtype, shape, bytes, file: shard.path };
  }

  /**
   * Reads one tensor, converting it on the way.
   *
   * @throws CheckpointError when there is no such tensor, it has more than 8 dimensions, or a value does not fit
   */
  async read(name: string, { dtype: wanted, signal }: ReadOptions = {}): Promise<Tensor> {
    const reading = this.#reading(name, wanted);
    const { subject, stored, dtype } = reading;
    const data = blank(subject, dtype, sizeOf(stored.shape));
    for (let at = 0; at < data.length; at += blockSize) {
      signal?.throwIfAborted();
      await fill(reading, at, data.subarray(at, at + blockSize));
    }
    return tensor(data, { shape: stored.shape, dtype });
  }

  /**
   * Reads one tensor a million elements at a time, converting them on the way: for what should not be in memory twice.
   *
   * @returns the elements in order; each block is overwritten by the next
   * @throws CheckpointError as `read()`
   */
  async *blocks(
    name: string,
    { dtype: wanted, signal }: ReadOptions = {},
  ): AsyncGenerator<TensorData, void> {
    const reading = this.#reading(name, wanted);
    const size = sizeOf(reading.stored.shape);
    const block = blank(reading.subject, reading.dtype, Math.min(size, blockSize));
    for (let at = 0; at < size; at += blockSize) {
      signal?.throwIfAborted();
      const next = block.subarray(0, size - at);
      await fill(reading, at, next);
      yield next;
    }
  }

  /** Reads all tensors, one after the other; `dtype` then only applies to floating-point ones. */
  async readAll({ dtype, signal }: ReadOptions = {}): Promise<Map<string, Tensor>> {
    const result = new Map<string, Tensor>();
    try {
      for (const [name, { stored }] of this.#tensors) {
        const floats = isFloat(defaultDType(stored.dtype));
        result.set(name, await this.read(name, { dtype: floats ? dtype : undefined, signal }));
      }
      return result;
    } catch (error) {
      for (const tensor of result.values()) tensor.dispose();
      throw error;
    }
  }

  async close(): Promise<void> {
    await closeAll(this.#shards);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What is to be read, if it can be. */
  #reading(name: string, wanted: DType | undefined): Reading {
    const { shard, stored } = this.#find(name);
    const dtype = wanted ?? defaultDType(stored.dtype);
    dtypeCode(dtype); // throws for what JavaScript callers may pass
    const subject = `${shard.path}: ${shown(name)}`;
    if (stored.shape.length > maxRank || stored.shape.some((size) => size > maxSize))
      throw new CheckpointError(
        `${subject}: ${formatShape(stored.shape)} is not the shape of a tensor: ` +
          `it has at most ${maxRank} dimensions, each at most ${maxSize}`,
      );
    if (!convertible(stored.dtype, dtype))
      throw new CheckpointError(`${subject}: ${stored.dtype} cannot be read as ${dtype}`);
    return { subject, handle: shard.handle, stored, dtype };
  }

  #find(name: string): { shard: Shard; stored: StoredTensor } {
    const found = this.#tensors.get(name);
    if (found) return found;
    const where = this.#shards[0]?.path ?? "checkpoint";
    throw new CheckpointError(`${where}: there is no tensor "${shown(name)}"`);
  }
}

/**
 * Opens a checkpoint and checks all of its layout before anything is allocated: names, dtypes, shapes, and that the
 * tensors fill the file without gap or overlap. Headers may have up to 100 MB and 100,000 tensors.
 *
 *     await using file = await openSafetensors("model.safetensors");
 *     const weight = await file.read("embed.weight");
 *
 * @param path a `.safetensors` file, a `.safetensors.index.json`, or a folder with `model.safetensors` or
 *             `model.safetensors.index.json`
 * @throws CheckpointError for everything that is wrong with the files
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const file = await checkpointIn(path);
  if (file.endsWith(".json")) return openSharded(file);
  return new SafetensorsFile([await openShard(file)]);
}

async function checkpointIn(path: string): Promise<string> {
  const kind = await reading(path, () => stat(path));
  if (!kind.isDirectory()) return path;
  for (const name of ["model.safetensors", "model.safetensors.index.json"]) {
    const candidate = join(path, name);
    const found = await stat(candidate).catch(() => undefined);
    if (found?.isFile()) return candidate;
  }
  throw new CheckpointError(
    `${path}: the folder has neither model.safetensors nor model.safetensors.index.json`,
  );
}

async function openShard(path: string): Promise<Shard> {
  return reading(path, async () => {
    await requireRegular(path);
    const handle = await open(path, "r");
    try {
      return { path, handle, header: await readHeader(path, handle) };
    } catch (error) {
      await handle.close();
      throw error;
    }
  });
}

/** A pipe would block, a device never end. */
async function requireRegular(path: string): Promise<void> {
  if (!(await stat(path)).isFile()) throw new CheckpointError(`${path}: not a regular file`);
}

async function readHeader(path: string, handle: FileHandle): Promise<Header> {
  const { size } = await handle.stat();
  if (size < 8)
    throw new CheckpointError(`${path}: header: the file has ${size} bytes, must have at least 8`);
  const prefix = Buffer.alloc(8);
  await readFully(path, handle, prefix, 0);
  if (prefix.toString("latin1") === "version ")
    throw new CheckpointError(
      `${path}: is a pointer of Git LFS, not the data; fetch it with git lfs pull`,
    );
  const length = prefix.readBigUInt64LE();
  const limit = Math.min(maxHeaderBytes, size - 8);
  if (length > limit)
    throw new CheckpointError(
      `${path}: header: its length is ${length}, must be at most ${limit} (the file has ${size} bytes)`,
    );
  const end = 8 + Number(length);
  return feed(path, handle, 8, end, parseHeader(path, end, size - end));
}

/** Gives a parser the bytes of a file from `begin` to `end`. */
async function feed<T>(
  path: string,
  handle: FileHandle,
  begin: number,
  end: number,
  parser: Waiting<T>,
): Promise<T> {
  const piece = Buffer.alloc(Math.min(pieceBytes, end - begin));
  let step = parser.next();
  for (let at = begin; !step.done; ) {
    const next = piece.subarray(0, Math.min(piece.length, end - at));
    await readFully(path, handle, next, at);
    at += next.length;
    step = parser.next(next);
  }
  return step.value;
}

async function openSharded(index: string): Promise<SafetensorsFile> {
  const map = await reading(index, () => readIndex(index));
  const names = [...new Set(map.values())].sort();
  const shards: Shard[] = [];
  try {
    for (const name of names) shards.push(await openShard(join(dirname(index), name)));
    shards.forEach(({ header, path }, i) => {
      for (const tensor of header.tensors.keys())
        if (map.get(tensor) !== names[i])
          throw new CheckpointError(
            `${path}: ${shown(tensor)}: ${basename(index)} has it in ${shown(map.get(tensor) ?? "no file")}`,
          );
    });
    for (const [tensor, name] of map)
      if (!shards[names.indexOf(name)]!.header.tensors.has(tensor))
        throw new CheckpointError(`${index}: ${shown(tensor)}: it is not in ${shown(name)}`);
    return new SafetensorsFile(shards);
  } catch (error) {
    await closeAll(shards);
    throw error;
  }
}

/**
 * The files that the tensors of a sharded checkpoint are in: plain names, whatever the index says.
 *
 * @param index path of a `.safetensors.index.json`
 * @throws CheckpointError when it is not a valid index
 */
export async function readShardNames(index: string): Promise<string[]> {
  const map = await reading(index, () => readIndex(index));
  return [...new Set(map.values())].sort();
}

/** Which file each tensor is in. */
async function readIndex(index: string): Promise<Map<string, string>> {
  await requireRegular(index);
  const handle = await open(index, "r");
  try {
    const { size } = await handle.stat();
    if (size > maxHeaderBytes)
      throw new CheckpointError(
        `${index}: it has ${size} bytes, must have at most ${maxHeaderBytes}`,
      );
    return await feed(index, handle, 0, size, parseIndex(index));
  } finally {
    await handle.close();
  }
}

/** Reads as many elements as `into` has, from element `begin` on. */
async function fill(
  { subject, handle, stored, dtype }: Reading,
  begin: number,
  into: TensorData,
): Promise<void> {
  const width = storedBytes[stored.dtype];
  const place = stored.offset + begin * width;
  if (sameBytes(stored.dtype, dtype)) {
    const { buffer, byteOffset, byteLength } = into;
    return await readFully(subject, handle, Buffer.from(buffer, byteOffset, byteLength), place);
  }
  const bytes = new ArrayBuffer(into.length * width);
  await readFully(subject, handle, Buffer.from(bytes), place);
  convertInto(subject, stored.dtype, bytes, dtype, into, begin);
}

function blank(subject: string, dtype: DType, size: number): TensorData {
  const bytes = size * bytesPerElement[dtype];
  try {
    return viewOf(dtype, new ArrayBuffer(bytes));
  } catch (cause) {
    throw new CheckpointError(`${subject}: ${bytes} bytes of ${dtype} do not fit in memory`, {
      cause,
    });
  }
}

async function readFully(
  subject: string,
  handle: FileHandle,
  into: Buffer,
  position: number,
): Promise<void> {
  for (let at = 0; at < into.length; ) {
    const { bytesRead } = await reading(subject, () =>
      handle.read(into, at, into.length - at, position + at),
    );
    if (bytesRead === 0)
      throw new CheckpointError(`${subject}: the file ends at byte ${position + at}`);
    at += bytesRead;
  }
}

/** Turns errors of the file system into ours. */
async function reading<T>(path: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (cause) {
    if (cause instanceof UserLlmError) throw cause;
    throw new CheckpointError(`${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
}

async function closeAll(shards: readonly Shard[]): Promise<void> {
  await Promise.all(shards.map(({ handle }) => handle.close()));
}
