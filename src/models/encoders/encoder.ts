import type { Batch } from "../../data/index.js";
import type { Module } from "../../nn/index.js";
import type { Precision } from "../../ops/index.js";
import type { Tensor } from "../../tensor/tensor.js";

/** A feature of events as an encoder knows it: `item`, or one of the data's. */
export interface EncoderFeature {
  readonly name: string;
  /** Whether an event has several values of it. */
  readonly bag: boolean;
  /** Different values. A missing one has the id `size`; the item is never missing. */
  readonly size: number;
  /** Whether it is of the event (a rating), or of its item (a genre). */
  readonly of: "event" | "item";
  /** Most values of one event or item, of a bag. Encoders that keep the bags of all items need it. */
  readonly longest?: number | undefined;
}

/**
 * What an encoder is made for. Plain data, so that a saved encoder can be made again without the data.
 */
export interface EncoderData {
  /** The item first. */
  readonly features: readonly EncoderFeature[];
  /** Most inputs of a window. */
  readonly length: number;
}

/** What only training knows of the data; an encoder that is loaded does without. */
export interface TrainingData {
  /** Events of each item that some position of a training window predicts, each counted once: `[items]`. */
  readonly itemTargets: Float64Array;
  /** Of each feature of items its values: an index for each item, -1 where there is none, or bags. */
  readonly itemValues: Readonly<
    Record<string, Int32Array | { readonly offsets: Int32Array; readonly values: Int32Array }>
  >;
}

/** The loss of a batch, with what the log shows of it. */
export interface EncoderLoss {
  /** A scalar: the mean over `count`. */
  readonly loss: Tensor;
  /** Scalars by feature, each a mean over `count`; `loss` is their weighted sum. */
  readonly parts: Readonly<Record<string, Tensor>>;
  /** What the mean is over: positions, or windows. Weighs batches in gradient accumulation. */
  readonly count: number;
}

/** What scores the items of the catalogue for the next event: `query · weightᵀ + bias`. */
export interface ItemTable {
  /** `[items, width]` */
  readonly weight: Tensor;
  /** `[items]` */
  readonly bias?: Tensor;
  /** Of the products. */
  readonly precision?: Precision;
  /** `weight` in bfloat16. */
  readonly shadow?: Tensor;
}

/**
 * A model of users: what stage 1 trains, ranks with and exports, and stage 2 reads. `pretrain` takes any module that has
 * these methods.
 *
 * Methods are given the loader's batches, in either layout, and are synchronous; between `train()` and `eval()` they may
 * use dropout. What a history's padding, its neighbours in the batch and the layout are must not matter.
 */
export interface UserEncoder extends Module {
  /** Of a user embedding. */
  readonly width: number;
  /** What batches must have: `item` and features of the data. */
  readonly features: readonly EncoderFeature[];
  /** The loss of a batch with targets. */
  loss(batch: Batch): EncoderLoss;
  /**
   * User embeddings, for stage 2 and for export: after the final norm, never logits. One for each input,
   * `[size, length, width]` or `[positions, width]` as the batch is laid out; or, where {@link embeddingsPerUser} is a
   * number, `[size, embeddingsPerUser, width]`.
   */
  embed(batch: Batch): Tensor;
  /** How many embeddings a user has: one for each event, or this many whatever the history. */
  readonly embeddingsPerUser: number | "events";
  /**
   * What the next item is looked for with: `[size, itemWidth]`, or `[size, k, itemWidth]`, where an item's score is the
   * highest of k.
   */
  query(batch: Batch): Tensor;
  /** All items as {@link query} finds them. The caller's, or the enclosing `tidy`'s; a table that is a parameter is not. */
  itemTable(): ItemTable;
}
