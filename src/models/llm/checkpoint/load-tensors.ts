import { CheckpointError } from "../../../errors.js";
import type { LongCall } from "../../../progress.js";
import { type DType, type Shape, type Tensor, tidy } from "../../../tensor/index.js";
import type { Checkpoint } from "./open-checkpoint.js";

/** A tensor of the model, and where the checkpoint has it. */
export interface WantedTensor {
  /** The name in the checkpoint; of several, the first that is there. */
  readonly names: readonly [string, ...string[]];
  /** As the checkpoint has it. */
  readonly shape: Shape;
  /** What it is held as. Default: `float32`. */
  readonly dtype?: DType | undefined;
  /** From the checkpoint's layout to the model's. The argument is disposed then. Default: they are the same. */
  readonly fromStored?: ((stored: Tensor) => Tensor) | undefined;
}

export interface LoadTensorsOptions extends LongCall {
  /** Tells of a name in the checkpoint that no model needs it: a mask that can be computed, a copy. Default: none. */
  ignored?: ((name: string) => boolean) | undefined;
}

/**
 * Reads the weights of a model, in the order of the files. Everything is compared before anything is read; then one tensor
 * at a time is in memory, twice at most, besides those that the caller keeps.
 *
 *     for await (const [parameter, value] of loadTensors(checkpoint, wanted)) parameter.assign(value);
 *
 * @param wanted by whatever the caller knows them by
 * @returns each key with its tensor, which is the caller's
 * @throws CheckpointError when tensors are missing, unexpected, of another shape, or not floating point
 */
export async function* loadTensors<Key>(
  checkpoint: Checkpoint,
  wanted: ReadonlyMap<Key, WantedTensor>,
  { ignored = () => false, onProgress, signal }: LoadTensorsOptions = {},
): AsyncGenerator<[Key, Tensor], void> {
  const found = findAll(checkpoint, wanted, ignored);
  requireShapes(checkpoint, found);
  const total = found.reduce((sum, { name }) => sum + checkpoint.info(name).bytes, 0);
  let done = 0;
  const onBytes = (bytes: number): void => {
    done += bytes;
    onProgress?.({ task: `reading ${checkpoint.folder}`, done, total, unit: "bytes" });
  };
  for (const { key, name, tensor } of found) {
    const stored = await checkpoint.read(name, { dtype: tensor.dtype, signal, onBytes });
    yield [key, arranged(stored, tensor)];
  }
}

function arranged(stored: Tensor, { fromStored }: WantedTensor): Tensor {
  if (fromStored === undefined) return stored;
  try {
    return tidy(() => fromStored(stored));
  } finally {
    stored.dispose();
  }
}

interface Found<Key> {
  readonly key: Key;
  readonly name: string;
  readonly tensor: WantedTensor;
}

/** Every wanted tensor with the name that the checkpoint has it under, in the order of the files. */
function findAll<Key>(
  checkpoint: Checkpoint,
  wanted: ReadonlyMap<Key, WantedTensor>,
  ignored: (name: string) => boolean,
): Found<Key>[] {
  const places = new Map(checkpoint.names.map((name, place) => [name, place]));
  const found: Found<Key>[] = [];
  const missing: string[] = [];
  for (const [key, tensor] of wanted) {
    const name = tensor.names.find((each) => places.has(each));
    if (name === undefined) missing.push(tensor.names[0]);
    else found.push({ key, name, tensor });
  }
  const used = new Set(found.map(({ name }) => name));
  const unexpected = checkpoint.names.filter((name) => !used.has(name) && !ignored(name));
  const faults = [
    missing.length > 0 && `missing: ${listed(missing)}`,
    unexpected.length > 0 && `not part of the model: ${listed(unexpected)}`,
  ].filter((fault) => fault !== false);
  if (faults.length > 0)
    throw new CheckpointError(`${checkpoint.folder}: tensors are ${faults.join("; ")}`);
  return found.sort((a, b) => places.get(a.name)! - places.get(b.name)!);
}

function requireShapes<Key>(checkpoint: Checkpoint, found: readonly Found<Key>[]): void {
  const wrong = found.filter(
    ({ name, tensor }) => !same(checkpoint.info(name).shape, tensor.shape),
  );
  const [first] = wrong;
  if (first === undefined) return;
  const { file, shape } = checkpoint.info(first.name);
  const others = wrong.length === 1 ? "" : `; ${wrong.length} tensors have another shape`;
  throw new CheckpointError(
    `${file}: ${first.name} is [${shape.join(", ")}], ` +
      `the model needs [${first.tensor.shape.join(", ")}]${others}`,
  );
}

const same = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((n, i) => n === b[i]);

const mostListed = 10;

function listed(names: readonly string[]): string {
  const first = names.slice(0, mostListed).join(", ");
  return names.length > mostListed ? `${first} and ${names.length - mostListed} more` : first;
}
