import { type Shape, type Tensor, tensor } from "../../tensor/index.js";

/** Where the inputs of several windows lie in one tensor. */
export type BatchLayout = "padded" | "ragged";

/** A bag feature's inputs, as `embeddingBag` takes them. */
export interface BagInputs {
  /** `[values]`, int32 */
  readonly ids: Tensor;
  /** `[positions + 1]`, int32: position p has `ids[offsets[p] ... offsets[p + 1])`. */
  readonly offsets: Tensor;
}

/**
 * Some windows as int32 tensors. A window of `n` inputs has `n` positions: at each an input, and as its target the value
 * of the event after it, so that the last target is the window's.
 *
 * *Padded*: a position is `[window, i]` of `[size, length]`; behind a window's inputs stand padding inputs (id 0, empty
 * bags) with ignored targets. *Ragged*: positions follow one another without gaps, `[positions]` in all.
 *
 * The tensors are the loader's. They live until the loop asks for the next batch, or ends, unless `keep()` was called.
 */
export interface Batch {
  /** Windows; the last batch of an epoch may have fewer than the others. */
  readonly size: number;
  readonly layout: BatchLayout;
  /** Of each window its user. */
  readonly users: Int32Array;
  /** Of each window the row of its target in the events. */
  readonly targetRows: Float64Array;
  /** Inputs of each window: `[size]`. Padded layout only. */
  readonly lengths: Tensor | undefined;
  /** First position of each window, then their number: `[size + 1]`. Ragged layout only. */
  readonly offsets: Tensor | undefined;
  /** `lengths` or `offsets` on the JavaScript side. */
  readonly extents: Int32Array;
  /** By feature. Ids `[size, length]` or `[positions]`; a missing value is the feature's `size`. A bag: `bags`. */
  readonly inputs: Readonly<Record<string, Tensor>>;
  /** By feature that is a bag. A missing value is an empty bag. */
  readonly bags: Readonly<Record<string, BagInputs>>;
  /**
   * By feature. `[size, length]` or `[positions]`, of a bag `[..., longest]`; -100, which losses ignore, where there is
   * no value. Empty when the loader makes no targets.
   */
  readonly targets: Readonly<Record<string, Tensor>>;
  /** Leaves the tensors to the caller, who disposes them. */
  keep(): this;
}

/** What decides how a block of the loader thread is read: the features in its order. */
export interface BlockFormat {
  readonly layout: BatchLayout;
  readonly length: number;
  readonly targets: boolean;
  readonly features: readonly {
    readonly name: string;
    readonly bag: boolean;
    readonly longest: number;
  }[];
}

/** The numbers at the start of a block: `Gather::Head` of native/data/gather.h. */
export interface BlockHead {
  readonly slot: number;
  readonly size: number;
  /** Where the order stands after the batch. */
  readonly epoch: number;
  readonly position: number;
}

const headNumbers = 4;

export function readHead(block: ArrayBuffer): BlockHead {
  const [slot, size, epoch, position] = new Float64Array(block, 0, headNumbers) as unknown as [
    number,
    number,
    number,
    number,
  ];
  return { slot, size, epoch, position };
}

/** A batch and what disposes its tensors. All of the block is copied. */
export interface OwnedBatch {
  readonly batch: Batch;
  release(): void;
}

export function readBlock(block: ArrayBuffer, format: BlockFormat): OwnedBatch {
  const owned = new Set<Tensor>();
  const release = (): void => {
    for (const made of owned) made.dispose();
    owned.clear();
  };
  const own = (data: Int32Array, shape: Shape): Tensor => {
    const made = tensor(data, { shape });
    owned.add(made);
    return made;
  };
  try {
    return { batch: readBatch(block, format, own, () => owned.clear()), release };
  } catch (error) {
    release();
    throw error;
  }
}

function readBatch(
  block: ArrayBuffer,
  { layout, length, targets: wantsTargets, features }: BlockFormat,
  own: (data: Int32Array, shape: Shape) => Tensor,
  disown: () => void,
): Batch {
  const { size } = readHead(block);
  const table = new Float64Array(block);
  let entry = headNumbers;
  const int32 = (): Int32Array => new Int32Array(block, table[entry++]!, table[entry++]!);

  const users = int32().slice();
  const targetRows = new Float64Array(block, table[entry++]!, table[entry++]!).slice();
  const extents = int32().slice();
  const extentTensor = own(extents, [extents.length]);
  const padded = layout === "padded";
  const positions = padded ? [size, length] : [extents[size]!];

  const inputs: Record<string, Tensor> = {};
  const bags: Record<string, BagInputs> = {};
  const targets: Record<string, Tensor> = {};
  for (const { name, bag, longest } of features) {
    const ids = int32();
    if (bag) {
      const offsets = int32();
      bags[name] = { ids: own(ids, [ids.length]), offsets: own(offsets, [offsets.length]) };
    } else {
      inputs[name] = own(ids, positions);
    }
    if (wantsTargets) targets[name] = own(int32(), bag ? [...positions, longest] : positions);
  }

  return {
    size,
    layout,
    users,
    targetRows,
    extents,
    lengths: padded ? extentTensor : undefined,
    offsets: padded ? undefined : extentTensor,
    inputs,
    bags,
    targets,
    keep() {
      disown();
      return this;
    },
  };
}
