import { CheckpointError } from "../../../errors.js";
import { concat } from "../../../ops/index.js";
import type { LongCall } from "../../../progress.js";
import { type Shape, type Tensor, tidy } from "../../../tensor/index.js";
import type { Checkpoint, WeightDType } from "./open-checkpoint.js";

/** A tensor as the checkpoint has it. */
export interface StoredPart {
  readonly name: string;
  readonly shape: Shape;
}

/** A tensor of the model, and what of the checkpoint it is made of. */
export interface WantedTensor {
  /** Most often one. */
  readonly parts: readonly StoredPart[];
  /** Makes the tensor of its parts; they are disposed after. Default: they follow each other along the first dimension. */
  readonly assemble?: ((parts: readonly Tensor[]) => Tensor) | undefined;
  /** What it is held as. Default: that of the options. */
  readonly dtype?: WeightDType | undefined;
}

export interface LoadTensorsOptions extends LongCall {
  /** What tensors are held as that do not say it themselves. Default: `float32`. */
  dtype?: WeightDType | undefined;
  /** Tells of a tensor of the checkpoint that no model needs it, such as a mask that can be computed. Default: none. */
  ignored?: ((name: string) => boolean) | undefined;
}

/**
 * Reads the weights of a model, one after the other in the order of the files: at its peak the memory holds the model and
 * the tensor that is being made, twice. Everything is compared before anything is read.
 *
 * @param wanted by the paths of the model's parameters
 * @returns by the same paths, in the same order; the caller owns the tensors
 * @throws CheckpointError when tensors are missing, unexpected, of another shape, or not floating point
 */
export async function loadTensors(
  checkpoint: Checkpoint,
  wanted: ReadonlyMap<string, WantedTensor>,
  options: LoadTensorsOptions = {},
): Promise<Map<string, Tensor>> {
  const { ignored = () => false, onProgress, signal } = options;
  requireNames(checkpoint, wanted, ignored);
  requireShapes(checkpoint, wanted);
  const total = [...wanted.values()]
    .flatMap(({ parts }) => parts)
    .reduce((sum, { name }) => sum + checkpoint.info(name).bytes, 0);
  let done = 0;
  const onBytes = (bytes: number): void => {
    done += bytes;
    onProgress?.({ task: "reading weights", done, total, unit: "bytes" });
  };
  const loaded = new Map<string, Tensor>();
  try {
    for (const [path, tensor] of inFileOrder(checkpoint, wanted)) {
      const dtype = tensor.dtype ?? options.dtype;
      loaded.set(path, await make(checkpoint, tensor, { dtype, signal, onBytes }));
    }
    return new Map([...wanted.keys()].map((path) => [path, loaded.get(path)!]));
  } catch (error) {
    for (const tensor of loaded.values()) tensor.dispose();
    throw error;
  }
}

async function make(
  checkpoint: Checkpoint,
  { parts, assemble = concat }: WantedTensor,
  options: Parameters<Checkpoint["read"]>[1],
): Promise<Tensor> {
  const read: Tensor[] = [];
  try {
    for (const { name } of parts) read.push(await checkpoint.read(name, options));
    if (read.length === 1 && assemble === concat) return read.pop()!;
    return tidy(() => assemble(read));
  } finally {
    for (const tensor of read) tensor.dispose();
  }
}

function inFileOrder(
  { names }: Checkpoint,
  wanted: ReadonlyMap<string, WantedTensor>,
): [path: string, tensor: WantedTensor][] {
  const places = new Map(names.map((name, place) => [name, place]));
  const placeOf = ({ parts }: WantedTensor): number => places.get(parts[0]!.name)!;
  return [...wanted].sort(([, a], [, b]) => placeOf(a) - placeOf(b));
}

function requireNames(
  checkpoint: Checkpoint,
  wanted: ReadonlyMap<string, WantedTensor>,
  ignored: (name: string) => boolean,
): void {
  const known = new Set([...wanted.values()].flatMap(({ parts }) => parts.map(({ name }) => name)));
  const missing = [...known].filter((name) => !checkpoint.has(name));
  const unexpected = checkpoint.names.filter((name) => !known.has(name) && !ignored(name));
  const faults = [
    missing.length > 0 && `${counted(missing)} missing: ${listed(missing)}`,
    unexpected.length > 0 && `${counted(unexpected)} not of this model: ${listed(unexpected)}`,
  ].filter((fault) => fault !== false);
  if (faults.length > 0) throw new CheckpointError(`${checkpoint.folder}: ${faults.join("; ")}`);
}

function requireShapes(checkpoint: Checkpoint, wanted: ReadonlyMap<string, WantedTensor>): void {
  const wrong = [...wanted.values()]
    .flatMap(({ parts }) => parts)
    .filter(({ name, shape }) => !same(checkpoint.info(name).shape, shape));
  const [first] = wrong;
  if (first === undefined) return;
  const { file, shape } = checkpoint.info(first.name);
  const more = wrong.length === 1 ? "" : ` (and ${wrong.length - 1} more have another shape)`;
  throw new CheckpointError(
    `${file}: ${first.name} is [${shape.join(", ")}], the model needs [${first.shape.join(", ")}]${more}`,
  );
}

const same = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((n, i) => n === b[i]);

const counted = ({ length }: readonly string[]): string =>
  length === 1 ? "1 tensor is" : `${length} tensors are`;

const mostListed = 10;

function listed(names: readonly string[]): string {
  const first = names.slice(0, mostListed).join(", ");
  return names.length > mostListed ? `${first} and ${names.length - mostListed} more` : first;
}
