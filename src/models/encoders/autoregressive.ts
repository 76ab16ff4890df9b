import type { Batch } from "../../data/index.js";
import {
  Dropout,
  Embedding,
  type InitOptions,
  LayerNorm,
  Module,
  RotaryEmbedding,
  type SequenceOptions,
  TransformerBlock,
} from "../../nn/index.js";
import { add, embedding, type Precision, reshape, slice } from "../../ops/index.js";
import { type Tensor, tensor } from "../../tensor/tensor.js";
import type {
  EncoderData,
  EncoderFeature,
  EncoderLoss,
  ItemTable,
  UserEncoder,
} from "./encoder.js";
import { EventEmbedding } from "./event-embedding.js";
import { FeatureHeads } from "./feature-heads.js";

export interface AutoregressiveOptions extends Pick<InitOptions, "generator"> {
  /** Default: 6. */
  layers?: number | undefined;
  /** Of a user embedding. Default: 128. */
  width?: number | undefined;
  /** Default: 8. */
  heads?: number | undefined;
  /** Width inside the MLPs. Default: four times the width. */
  hiddenWidth?: number | undefined;
  /** `learned`: an embedding for each position. `rotary`: queries and keys are turned. Default: `learned`. */
  positions?: "learned" | "rotary" | undefined;
  /** Of embeddings, attention and branches, while training. Default: 0.1. */
  dropout?: number | undefined;
  /** Widths of the features' own embeddings, by name. Default: `width` for the item, 16 for the others. */
  featureWidths?: Readonly<Record<string, number>> | undefined;
  /** Weights of the features' losses, by name. Default: 1 each. */
  lossWeights?: Readonly<Record<string, number>> | undefined;
  /** Share of the item's probability that is spread over all items. Default: 0. */
  labelSmoothing?: number | undefined;
  /** Of the products. Default: `float32`. */
  precision?: Precision | undefined;
}

/**
 * The paper's user encoder with early fusion: events embedded feature by feature and projected to one width, a causal
 * transformer, and from each position a prediction of every feature of the next event.
 *
 * On the item alone, with its embedding as wide as the model, it is SASRec trained with cross-entropy.
 *
 * @see Ning et al., "User-LLM", arXiv:2402.13598, section 3.1 and appendix A
 * @see Kang and McAuley, "Self-attentive sequential recommendation", arXiv:1808.09781
 */
export class AutoregressiveEncoder extends Module implements UserEncoder {
  readonly embeddingsPerUser = "events";
  readonly features: readonly EncoderFeature[];
  readonly width: number;
  readonly events: EventEmbedding;
  readonly positions: Embedding | undefined;
  readonly rotary: RotaryEmbedding | undefined;
  readonly dropout: Dropout;
  readonly blocks: readonly TransformerBlock[];
  readonly norm: LayerNorm;
  readonly heads: FeatureHeads;

  constructor({ features, length }: EncoderData, options: AutoregressiveOptions = {}) {
    super();
    const { layers = 6, width = 128, heads = 8, hiddenWidth = 4 * width } = options;
    const { positions = "learned", dropout = 0.1, precision, generator } = options;
    const init = generator ? { generator } : {};
    this.features = features;
    this.width = width;
    this.events = new EventEmbedding(features, width, options);
    this.positions = positions === "learned" ? new Embedding(length, width, init) : undefined;
    this.rotary = positions === "rotary" ? new RotaryEmbedding(width / heads) : undefined;
    this.dropout = new Dropout(dropout, generator);
    this.blocks = Array.from(
      { length: layers },
      () =>
        new TransformerBlock(width, {
          ...{ heads, hiddenWidth, dropout, precision, causal: true, rotary: this.rotary },
          ...init,
        }),
    );
    this.norm = new LayerNorm(width);
    this.heads = new FeatureHeads(this.events, options);
  }

  embed(batch: Batch): Tensor {
    const { lengths, offsets, layout } = batch;
    let x = this.events.forward(batch);
    if (this.positions) x = add(x, this.#positions(this.positions, batch));
    x = this.dropout.forward(x);
    const sequence: SequenceOptions = layout === "padded" ? { lengths } : { offsets };
    for (const block of this.blocks) x = block.forward(x, sequence);
    return this.norm.forward(x);
  }

  loss(batch: Batch): EncoderLoss {
    return this.heads.loss(this.embed(batch), this.events, batch.targets, inputsOf(batch));
  }

  query(batch: Batch): Tensor {
    return this.heads.project(lastOf(this.embed(batch), batch), "item");
  }

  itemTable(): ItemTable {
    return this.heads.values(this.events, "item");
  }

  #positions({ weight }: Embedding, { layout, inputs, extents }: Batch): Tensor {
    if (layout === "padded") return slice(weight.value, 0, 0, inputs.item!.shape[1]!);
    const places = new Int32Array(extents.at(-1)!);
    for (let i = 0; i + 1 < extents.length; i++)
      for (let at = extents[i]!; at < extents[i + 1]!; at++) places[at] = at - extents[i]!;
    return embedding(weight.value, tensor(places));
  }
}

/** How many inputs the windows of a batch have together. */
export function inputsOf({ layout, extents }: Batch): number {
  return layout === "ragged" ? extents.at(-1)! : extents.reduce((sum, length) => sum + length, 0);
}

/** `x [size, length, width]` or `[positions, width]` at the last input of each window: `[size, width]`. */
export function lastOf(x: Tensor, { layout, extents, size }: Batch): Tensor {
  const width = x.shape.at(-1)!;
  const length = layout === "padded" ? x.shape[1]! : 0;
  const rows = Int32Array.from({ length: size }, (_, i) =>
    layout === "padded" ? i * length + Math.max(0, extents[i]! - 1) : extents[i + 1]! - 1,
  );
  return embedding(reshape(x, [x.size / width, width]), tensor(rows));
}
