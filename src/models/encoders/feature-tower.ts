import type { Batch } from "../../data/index.js";
import {
  CrossAttention,
  Dropout,
  Embedding,
  init,
  LayerNorm,
  type LinearLayerOptions,
  Module,
  Parameter,
  type SequenceOptions,
  TransformerBlock,
} from "../../nn/index.js";
import { add, embedding, embeddingBag, reshape } from "../../ops/index.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { EncoderFeature } from "./encoder.js";
import { lastOf } from "./positions.js";

export interface FeatureTowerOptions extends Pick<LinearLayerOptions, "generator" | "precision"> {
  /** Of the feature's embeddings and its transformer. */
  width: number;
  heads: number;
  layers: number;
  /** Width inside the MLPs. */
  hiddenWidth: number;
  /** Embeddings that come out. */
  outputs: number;
  dropout: number;
  /** Most inputs of a window. */
  length: number;
}

/**
 * One feature of a history on its own: its values embedded, a bidirectional transformer over them, and a readout. Every
 * output begins as the state of the last event plus a vector of its own, and looks once over the whole history.
 *
 * Nothing inside the history is predicted, so there is nothing to hide from earlier events, and the tower need not be
 * causal. Positions count back from the last event: it is the same one whatever the length.
 */
export class FeatureTower extends Module {
  /** A row for each value and, where a single value may be missing, one for that. */
  readonly table: Embedding;
  readonly positions: Embedding;
  readonly dropout: Dropout;
  readonly blocks: readonly TransformerBlock[];
  readonly norm: LayerNorm;
  /** What tells the outputs apart: `[outputs, width]`. */
  readonly starts: Parameter;
  readonly startNorm: LayerNorm;
  readonly readout: CrossAttention;
  readonly width: number;

  constructor(
    readonly feature: EncoderFeature,
    options: FeatureTowerOptions,
  ) {
    super();
    const { width, layers, outputs, length, generator } = options;
    const random = generator ? { generator } : {};
    const { name, bag, size } = feature;
    this.width = width;
    this.table = new Embedding(size + (bag || name === "item" ? 0 : 1), width, random);
    this.positions = new Embedding(length, width, random);
    this.dropout = new Dropout(options.dropout, generator);
    this.blocks = Array.from({ length: layers }, () => new TransformerBlock(width, options));
    this.norm = new LayerNorm(width);
    this.starts = new Parameter(init.normal([outputs, width], 0.02, random));
    this.startNorm = new LayerNorm(width);
    this.readout = new CrossAttention(width, width, options);
  }

  /**
   * @param fromEnd how many events follow each position: `[size, length]` or `[positions]`, int32
   * @returns       `[size, outputs, width]`
   */
  forward(batch: Batch, fromEnd: Tensor): Tensor {
    const { size, layout, lengths, offsets } = batch;
    const history: SequenceOptions = layout === "padded" ? { lengths } : { offsets };
    let x = add(this.#values(batch, fromEnd.shape), this.positions.forward(fromEnd));
    x = this.dropout.forward(x);
    for (const block of this.blocks) x = block.forward(x, history);
    const context = this.norm.forward(x);
    const last = reshape(lastOf(context, batch), [size, 1, this.width]);
    const starts = add(last, this.starts.value);
    return this.readout.forward(this.startNorm.forward(starts), context, {
      context: history,
      residual: starts,
    });
  }

  #values({ inputs, bags }: Batch, positions: readonly number[]): Tensor {
    const { name, bag } = this.feature;
    const { value } = this.table.weight;
    if (!bag) return embedding(value, inputs[name]!);
    const { ids, offsets } = bags[name]!;
    return reshape(embeddingBag(value, ids, offsets), [...positions, this.width]);
  }
}
