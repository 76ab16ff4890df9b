import type { Batch } from "../../data/index.js";
import { UsageError } from "../../errors.js";
import {
  Dropout,
  Embedding,
  LayerNorm,
  Module,
  RotaryEmbedding,
  type SequenceOptions,
  TransformerBlock,
} from "../../nn/index.js";
import { add, embedding, noGrad, slice } from "../../ops/index.js";
import { tidy } from "../../tensor/memory.js";
import { type Tensor, tensor } from "../../tensor/tensor.js";
import { type AutoregressiveOptions, requireOptions } from "./autoregressive-options.js";
import { requireWhole } from "./checks.js";
import type {
  EncoderData,
  EncoderFeature,
  EncoderLoss,
  ItemTable,
  TrainingData,
  UserEncoder,
} from "./encoder.js";
import { EventCache, requireCounts } from "./event-cache.js";
import { EventEmbedding, type EventInputs } from "./event-embedding.js";
import { FeatureHeads, requireHeads } from "./feature-heads.js";
import { NegativeSampler } from "./negative-sampler.js";
import { countsOf, inputsOf, lastOf, placesOf } from "./positions.js";

/** New events of the users of a cache: those of user 0 in order of time, then those of user 1, and so on. */
export interface NewEvents extends EventInputs {
  /** How many of each user: `[users]` */
  readonly counts: readonly number[];
}

/** What becomes of new events. */
export interface Appended {
  /** Of each new event: `[events, width]` */
  readonly embeddings: Tensor;
  /** Of each user, with or without new events, as {@link UserEncoder.query}: `[users, itemWidth]` */
  readonly query: Tensor;
}

/**
 * The paper's user encoder with early fusion: events embedded feature by feature and projected to one width, a causal
 * transformer, and from each position a prediction of every feature of the next event.
 *
 * On the item alone, with its embedding as wide as the model, it is SASRec trained with cross-entropy: nothing is
 * projected on the way in or out. (SASRec as published has MLPs as wide as the model, with ReLU.)
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
  readonly sampler: NegativeSampler | undefined;
  readonly #options: AutoregressiveOptions;

  /**
   * @param training for a sampled softmax; an encoder that is not trained does without
   * @throws UsageError when an option is out of its range, names no feature, or does not go with another
   */
  constructor(
    { features, length }: EncoderData,
    options: AutoregressiveOptions = {},
    training?: TrainingData,
  ) {
    super();
    requireOptions(options, length);
    requireHeads(options, features);
    const { layers = 6, width = 128, heads = 8, hiddenWidth = 4 * width, precision } = options;
    const { positions = "learned", dropout = 0.1, sampledSoftmax, generator, dtype } = options;
    const init = { ...(generator && { generator }), ...(dtype && { dtype }) };
    const { featureWidths, lossWeights, labelSmoothing } = options;
    this.#options = options;
    this.features = features;
    this.width = width;
    this.events = new EventEmbedding(features, width, { featureWidths, precision, ...init });
    this.positions = positions === "learned" ? new Embedding(length, width, init) : undefined;
    this.rotary =
      positions === "rotary" ? new RotaryEmbedding(width / heads, { dtype }) : undefined;
    this.dropout = new Dropout(dropout, generator);
    const block = { heads, hiddenWidth, dropout, precision, rotary: this.rotary, ...init };
    this.blocks = Array.from(
      { length: layers },
      () => new TransformerBlock(width, { ...block, causal: true }),
    );
    this.norm = new LayerNorm(width, init);
    this.heads = new FeatureHeads(this.events, { lossWeights, labelSmoothing, precision, ...init });
    this.sampler =
      sampledSoftmax && training
        ? new NegativeSampler(training.itemTargets, { ...sampledSoftmax, generator })
        : undefined;
  }

  embed(batch: Batch): Tensor {
    const { lengths, offsets, layout } = batch;
    const sequence: SequenceOptions = layout === "padded" ? { lengths } : { offsets };
    return this.#transform(this.#placed(batch), () => sequence);
  }

  loss(batch: Batch): EncoderLoss {
    const positions = inputsOf(batch);
    return this.heads.loss(
      this.embed(batch),
      this.events,
      batch.targets,
      positions,
      this.#negatives(),
    );
  }

  query(batch: Batch): Tensor {
    return this.heads.project(lastOf(this.embed(batch), batch), "item");
  }

  itemTable(): ItemTable {
    return this.heads.values(this.events, "item");
  }

  /**
   * Makes room for what {@link append} computes of `users`, who have no events yet.
   *
   * @param capacity events of a user that there is room for at first; it doubles when they do not suffice. Default: 64
   */
  cache(users: number, { capacity }: { capacity?: number | undefined } = {}): EventCache {
    requireWhole("AutoregressiveEncoder.cache: users", users, 0);
    const { heads = 8, dtype = "float32" } = this.#options;
    return new EventCache({
      ...{ users, width: this.width, layers: this.blocks.length, capacity, dtype },
      ...{ kvHeads: heads, headWidth: this.width / heads },
      ...(this.positions && { maxLength: this.positions.count }),
    });
  }

  /**
   * Embeds new events of the users of a cache, which takes them in. The result is what {@link embed} gives for the
   * whole histories; the cost is that of the new events.
   *
   * With learned positions a user has at most `length` events: begin another cache with the last ones. With rotary
   * positions there is no limit, but a history longer than those in training is something the encoder has never seen.
   *
   * Call `eval()` first, as for `embed`: dropout would stay in the cache. No gradient.
   *
   * @throws UsageError when there would be more events than positions, or the counts do not fit; the cache is as before
   */
  append(events: NewEvents, cache: EventCache): Appended {
    const { counts } = events;
    const { lengths } = cache;
    requireCounts("AutoregressiveEncoder.append", counts, cache.users, events.inputs.item!.size);
    const most = this.positions?.count ?? Infinity;
    const over = counts.findIndex((count, user) => lengths[user]! + count > most);
    if (over >= 0)
      throw new UsageError(
        `AutoregressiveEncoder.append: user ${over} would have ${lengths[over]! + counts[over]!} events, but there are ${most} learned positions; begin another cache with the last events`,
      );
    return tidy(() =>
      noGrad(() => {
        const x = this.#add(this.events.forward(events), placesOf(counts, lengths));
        const embeddings = this.#transform(x, (layer) => ({
          cached: { cache: cache.keys, layer, counts },
        }));
        cache.advance(embeddings, counts);
        return { embeddings, query: this.heads.project(cache.last, "item") };
      }),
    );
  }

  /** The events of a batch, with their positions. */
  #placed(batch: Batch): Tensor {
    const { layout, inputs, extents } = batch;
    const events = this.events.forward(batch);
    if (!this.positions) return events;
    const counts = layout === "ragged" ? countsOf(extents) : [inputs.item!.shape[1]!];
    const longest = counts.reduce((most, count) => Math.max(most, count), 0);
    if (longest > this.positions.count)
      throw new UsageError(
        `AutoregressiveEncoder: a window of ${longest} inputs is longer than the ${this.positions.count} learned positions`,
      );
    return layout === "ragged"
      ? this.#add(events, placesOf(counts))
      : add(events, slice(this.positions.weight.value, 0, 0, longest));
  }

  /** Adds the embeddings of positions to events that follow each other. */
  #add(events: Tensor, places: Int32Array): Tensor {
    return this.positions
      ? add(events, embedding(this.positions.weight.value, tensor(places)))
      : events;
  }

  #transform(
    events: Tensor,
    sequence: (layer: number) => Parameters<TransformerBlock["forward"]>[1],
  ): Tensor {
    let x = this.dropout.forward(events);
    for (const [layer, block] of this.blocks.entries()) x = block.forward(x, sequence(layer));
    return this.norm.forward(x);
  }

  #negatives() {
    const { sampledSoftmax } = this.#options;
    if (!sampledSoftmax || !this.training) return undefined;
    if (!this.sampler)
      throw new UsageError(
        "AutoregressiveEncoder: sampledSoftmax needs the training data in the constructor, to draw items from",
      );
    return { sampler: this.sampler, count: sampledSoftmax.negatives };
  }
}
