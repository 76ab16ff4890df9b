import { readdir } from "node:fs/promises";
import { CheckpointError } from "../../../errors.js";
import { cast, concat, reshape } from "../../../ops/index.js";
import {
  type DType,
  openSafetensors,
  Pacer,
  type SafetensorsFile,
  type SafetensorsInfo,
  type StoredDType,
  type Tensor,
  tensor,
  tidy,
} from "../../../tensor/index.js";

export interface ReadWeightOptions {
  /** What it is held as in memory. Default: `float32`. */
  dtype?: DType | undefined;
  /** Aborting rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Called with the number of bytes whenever some more of the file have been read. */
  onBytes?: ((bytes: number) => void) | undefined;
}

/**
 * What crosses to the device, where it is cast without holding up JavaScript: the file's own bytes where the engine has
 * the dtype, half precision as float32. Whole numbers are missing: a model that has them is quantised.
 */
const uploadedAs: Partial<Record<StoredDType, DType>> = {
  F64: "float64",
  F32: "float32",
  F16: "float32",
  BF16: "bfloat16",
};

/** The weights of a model folder: `model.safetensors`, or several files with an index. */
export class Checkpoint implements AsyncDisposable {
  readonly #file: SafetensorsFile;

  /** @internal Use `openCheckpoint()`. */
  constructor(
    readonly folder: string,
    file: SafetensorsFile,
  ) {
    this.#file = file;
  }

  /** The tensors' names, file by file. */
  get names(): string[] {
    return this.#file.names;
  }

  has(name: string): boolean {
    return this.#file.has(name);
  }

  /**
   * Stored dtype, shape, bytes and file of a tensor.
   *
   * @throws CheckpointError when there is no such tensor
   */
  info(name: string): SafetensorsInfo {
    return this.#file.info(name);
  }

  /**
   * Reads a tensor of floating-point numbers, converting it on the way. A large one comes in blocks: there is never more in
   * memory than the tensor twice, and JavaScript is not held up.
   *
   * @throws CheckpointError when there is no such tensor, or it is not of floating-point numbers
   */
  async read(name: string, options: ReadWeightOptions = {}): Promise<Tensor> {
    const { dtype = "float32", signal, onBytes } = options;
    const { dtype: stored, shape, bytes, file } = this.info(name);
    const uploaded = uploadedAs[stored];
    if (uploaded === undefined)
      throw new CheckpointError(
        `${file}: ${name}: ${stored} is not floating point; quantised weights are not supported`,
      );
    if (bytes === 0) return tensor([], { shape, dtype });
    const parts: Tensor[] = [];
    const pacer = new Pacer();
    try {
      for await (const block of this.#file.blocks(name, { dtype: uploaded, signal })) {
        parts.push(tidy(() => cast(tensor(block), dtype)));
        onBytes?.((block.length / elements(shape)) * bytes);
        await pacer.next();
      }
      return tidy(() => reshape(parts.length === 1 ? parts[0]! : concat(parts), shape));
    } finally {
      for (const part of parts) part.dispose();
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

const elements = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/**
 * Opens the weights of a model folder, as Hugging Face lays it out, and checks all that the files say of themselves.
 *
 *     await using checkpoint = await openCheckpoint("SmolLM2-135M");
 *     const embedding = await checkpoint.read("model.embed_tokens.weight");
 *
 * @throws CheckpointError when there are no safetensors in the folder, or they are not as they should be
 */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === "ENOENT" ? "no such folder" : error.message;
    throw new CheckpointError(`${folder}: ${reason}`, { cause: error });
  });
  const pickle = names.find((name) => /\.(bin|pt|pth|ckpt)$/.test(name));
  if (pickle !== undefined && !names.some((name) => name.endsWith(".safetensors")))
    throw new CheckpointError(
      `${folder}: has ${pickle} but no safetensors; a pickle can run code and is never read, convert it in Python`,
    );
  return new Checkpoint(folder, await openSafetensors(folder));
}
