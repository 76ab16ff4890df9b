/** Which tensor of a checkpoint is which parameter of a decoder, and how it lies there. */
import type { Parameter } from "../../autograd/index.js";
import { noGrad, reshape, transpose } from "../../ops/index.js";
import { type Tensor, tidy } from "../../tensor/index.js";
import type { Decoder } from "./decoder.js";
import type { LlmFamily, StoredModule } from "./family.js";

/** A parameter's place in a checkpoint. */
export interface StoredParameter {
  /** In the decoder: `layers.0.attention.query.weight`. */
  readonly path: string;
  readonly parameter: Parameter;
  /** In the checkpoint, in full: `model.layers.0.self_attn.q_proj.weight`. */
  readonly name: string;
  /** As the checkpoint has it. */
  readonly shape: readonly number[];
  /** From the checkpoint's layout to the decoder's; undefined where they are the same. The argument stays the caller's. */
  readonly fromStored?: ((stored: Tensor) => Tensor) | undefined;
  /** The other way. */
  readonly toStored?: ((value: Tensor) => Tensor) | undefined;
}

/** Every parameter of a decoder without adapters, with its place in the family's checkpoints. */
export function storedParameters(decoder: Decoder, family: LlmFamily): StoredParameter[] {
  return [...decoder.namedParameters()].map(([path, parameter]) => {
    const dot = path.lastIndexOf(".");
    const { name, layout } = storedModule(path.slice(0, dot), family);
    const stored = { path, parameter, name: `${name}${path.slice(dot)}` };
    const { shape } = parameter;
    if (layout === "transposed" && shape.length === 2)
      return {
        ...stored,
        shape: [shape[1]!, shape[0]!],
        fromStored: transposed,
        toStored: transposed,
      };
    if (layout === "heads") return { ...stored, shape, ...headRows(decoder.options.heads) };
    return { ...stored, shape };
  });
}

/**
 * Where a family's checkpoints have a module of the decoder.
 *
 * @param path of the module: `layers.3.mlp.up`
 */
export function storedModule(path: string, { names, name }: LlmFamily): StoredModule {
  const layer = /^layers\.(\d+)\./.exec(path)?.[1];
  const entry = names[path.replace(/^layers\.\d+\./, "layers.*.")];
  if (entry === undefined) throw new Error(`${name} has no name for ${path}`);
  const module = typeof entry === "string" ? { name: entry } : entry;
  return { ...module, name: module.name.replace("*", layer ?? "*") };
}

const transposed = (x: Tensor): Tensor => noGrad(() => transpose(x));

/** Rows of packed queries, keys and values, which checkpoints with the layout `heads` have head by head. */
export function headRows(
  heads: number,
): Required<Pick<StoredParameter, "fromStored" | "toStored">> {
  return {
    fromStored: (stored) => swapLeading(stored, heads, 3),
    toStored: (value) => swapLeading(value, 3, heads),
  };
}

/** Rows that are `[outer, inner, rest]` in the order `[inner, outer, rest]`. */
function swapLeading(x: Tensor, outer: number, inner: number): Tensor {
  return tidy(() =>
    noGrad(() => {
      const blocks = reshape(x, [outer, inner, x.size / outer / inner]);
      return reshape(transpose(blocks, [1, 0, 2]), x.shape);
    }),
  );
}
