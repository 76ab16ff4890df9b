import { Parameter } from "../../autograd/parameter.js";
import type { Batch } from "../../data/index.js";
import { UsageError } from "../../errors.js";
import {
  Dropout,
  Embedding,
  type InitOptions,
  init,
  LayerNorm,
  Linear,
  Module,
  TransformerBlock,
} from "../../nn/index.js";
import {
  add,
  concat,
  defaultGenerator,
  embedding,
  type Generator,
  linearCrossEntropy,
  type Precision,
  reshape,
  zeros,
} from "../../ops/index.js";
import { type Tensor, tensor } from "../../tensor/tensor.js";
import { requireWhole } from "./checks.js";
import {
  type Cloze,
  type ClozeOptions,
  hideLast,
  hideSome,
  type Sequences,
  sequencesOf,
} from "./cloze.js";
import type {
  EncoderData,
  EncoderFeature,
  EncoderLoss,
  ItemTable,
  UserEncoder,
} from "./encoder.js";
import { EventEmbedding } from "./event-embedding.js";

export interface Bert4RecOptions extends ClozeOptions, Pick<InitOptions, "generator"> {
  /** At least 1. Default: 2. */
  layers?: number | undefined;
  /** Of a user embedding. Default: 128. */
  width?: number | undefined;
  /** Default: 8. */
  heads?: number | undefined;
  /** Width inside the MLPs. Default: four times the width. */
  hiddenWidth?: number | undefined;
  /** Of embeddings, attention and branches, while training. Default: 0.1. */
  dropout?: number | undefined;
  /** Widths of the features' own embeddings, by name. Default: `width` for the item, 16 for the others. */
  featureWidths?: Readonly<Record<string, number>> | undefined;
  /**
   * What is between the final norm and the item table. `transform`: a linear layer, GELU and a norm, as in the paper.
   * `tied`: nothing, or a linear layer where events are projected on their way in. Default: `transform`.
   */
  head?: "transform" | "tied" | undefined;
  /** Whether each item has a bias of its own in the softmax. Default: true. */
  outputBias?: boolean | undefined;
  /** Of the products. Default: `float32`. */
  precision?: Precision | undefined;
}

/**
 * BERT4Rec: a transformer that sees events on both sides, trained to guess the items of hidden ones with a softmax over
 * all items, as its best reproductions do. It guesses the event after a history as one more that is hidden.
 *
 * A training sequence is a window's inputs and its target. The target is hidden always, as in ranking, and each input
 * with `maskProbability`; a hidden event hides all its features, and only its item is guessed. Places are counted from the
 * end, so that what is asked for has the same place whatever the length.
 *
 * Unlike in the original, norms stand before attention and MLP.
 *
 * @see Sun et al., "BERT4Rec", arXiv:1904.06690
 * @see Petrov and Macdonald, "A systematic review and replicability study of BERT4Rec", arXiv:2207.07483
 */
export class Bert4RecEncoder extends Module implements UserEncoder {
  readonly embeddingsPerUser = "events";
  readonly features: readonly EncoderFeature[];
  readonly length: number;
  readonly width: number;
  readonly events: EventEmbedding;
  /** What stands for a hidden event: one row. */
  readonly mask: Embedding;
  readonly positions: Embedding;
  readonly dropout: Dropout;
  readonly blocks: readonly TransformerBlock[];
  readonly norm: LayerNorm;
  readonly head: Linear | undefined;
  readonly headNorm: LayerNorm | undefined;
  /** `[items]` */
  readonly outputBias: Parameter | undefined;
  readonly #cloze: ClozeOptions;
  readonly #generator: Generator;
  readonly #precision: Precision;

  /** @throws UsageError when an option is out of its range */
  constructor({ features, length }: EncoderData, options: Bert4RecOptions = {}) {
    super();
    const { layers = 2, width = 128, heads = 8, hiddenWidth = 4 * width } = options;
    const { dropout = 0.1, head = "transform", outputBias = true } = options;
    const { featureWidths, precision = "float32", generator } = options;
    requireOptions(options);
    const start = generator ? { generator } : {};
    this.features = features;
    this.length = length;
    this.width = width;
    this.events = new EventEmbedding(features, width, { featureWidths, precision, ...start });
    this.mask = new Embedding(1, width, start);
    this.positions = new Embedding(length + 1, width, start);
    this.dropout = new Dropout(dropout, generator);
    this.blocks = Array.from(
      { length: layers },
      () =>
        new TransformerBlock(width, { ...{ heads, hiddenWidth, dropout, precision }, ...start }),
    );
    this.norm = new LayerNorm(width);
    const items = this.events.tables.get("item")!;
    const transforms = head === "transform";
    this.head =
      transforms || this.events.projection
        ? new Linear(width, items.width, { precision, ...start })
        : undefined;
    this.headNorm = transforms ? new LayerNorm(items.width) : undefined;
    this.outputBias = outputBias ? new Parameter(init.zeros([items.count])) : undefined;
    this.#cloze = options;
    this.#generator = generator ?? defaultGenerator;
    this.#precision = precision;
  }

  /**
   * Hidden states of the history alone, without a mask behind it, after the final norm. Padding gives zeros.
   */
  embed(batch: Batch): Tensor {
    const history = this.#sequences(batch, false);
    const x = this.norm.forward(this.#encode(history, this.#eventsOf(batch)));
    return batch.layout === "ragged" ? x : padded(x, history, batch);
  }

  /** In training mode of random events, else of the last one of each window alone. */
  loss(batch: Batch): EncoderLoss {
    const asked = this.#sequences(batch, true);
    const cloze = this.training
      ? hideSome(asked, this.#items.count, this.#cloze, this.#generator)
      : hideLast(asked);
    return this.lossOf(batch, cloze);
  }

  /** @internal The loss of events that the caller hides. */
  lossOf(batch: Batch, cloze: Cloze): EncoderLoss {
    const { weight, ...table } = this.itemTable();
    const loss = linearCrossEntropy(
      this.#guess(cloze, this.#eventsOf(batch, cloze.replacements), cloze.hidden),
      weight,
      itemsOf(batch, cloze),
      table,
    );
    return { loss, parts: { item: loss }, count: cloze.hidden.length };
  }

  query(batch: Batch): Tensor {
    const asked = this.#sequences(batch, true);
    const lasts = asked.offsets.subarray(1).map((end) => end - 1);
    return this.#guess(asked, this.#eventsOf(batch), lasts);
  }

  itemTable(): ItemTable {
    const { weight } = this.#items;
    return {
      weight: weight.value,
      precision: this.#precision,
      ...(this.#precision === "bfloat16" && { shadow: weight.shadow }),
      ...(this.outputBias && { bias: this.outputBias.value }),
    };
  }

  get #items(): Embedding {
    return this.events.tables.get("item")!;
  }

  #sequences(batch: Batch, asked: boolean): Sequences {
    return sequencesOf(batch, { length: this.length, asked });
  }

  /** What rows of sequences are numbers of: the batch's positions, the mask, replacements. */
  #eventsOf(batch: Batch, replacements?: Int32Array): Tensor {
    const events = this.events.forward(batch);
    const parts = [reshape(events, [events.size / this.width, this.width]), this.mask.weight.value];
    if (replacements && replacements.length > 0)
      parts.push(this.events.forward(withoutFeatures(replacements, this.features)));
    return concat(parts);
  }

  /** All blocks; of the last one the MLP only for the events in `wanted`, by default all. */
  #encode({ offsets, rows, places }: Sequences, events: Tensor, wanted?: Int32Array): Tensor {
    const sequence = { offsets: tensor(offsets) };
    const place = embedding(this.positions.weight.value, tensor(places));
    let x = this.dropout.forward(add(embedding(events, tensor(rows)), place));
    for (const block of this.blocks.slice(0, -1)) x = block.forward(x, sequence);
    const { attentionNorm, attention, mlpNorm, mlp } = this.blocks.at(-1)!;
    x = attention.forward(attentionNorm.forward(x), { ...sequence, residual: x });
    if (wanted) x = embedding(x, tensor(wanted));
    return mlp.forward(mlpNorm.forward(x), x);
  }

  /** `[wanted, item width]`: what the items of these events are looked for with. */
  #guess(sequences: Sequences, events: Tensor, wanted: Int32Array): Tensor {
    const x = this.norm.forward(this.#encode(sequences, events, wanted));
    if (!this.head) return x;
    return this.headNorm
      ? this.headNorm.forward(this.head.forward(x, { activation: "gelu" }))
      : this.head.forward(x);
  }
}

function requireOptions({
  layers = 2,
  maskProbability = 0.2,
  lastOnly = 0.1,
  replacement = "mask",
  head = "transform",
}: Bert4RecOptions): void {
  requireWhole("BERT4Rec: layers", layers);
  const require = (holds: boolean, name: string, rule: string, got: unknown): void => {
    if (!holds) throw new UsageError(`BERT4Rec: ${name} must be ${rule}, got ${got}`);
  };
  const isProbability = maskProbability > 0 && maskProbability <= 1;
  require(isProbability, "maskProbability", "above 0 and at most 1", maskProbability);
  require(lastOnly >= 0 && lastOnly <= 1, "lastOnly", "from 0 to 1", lastOnly);
  const isReplacement = ["mask", "bert"].includes(replacement);
  require(isReplacement, "replacement", '"mask" or "bert"', `"${replacement}"`);
  const isHead = ["transform", "tied"].includes(head);
  require(isHead, "head", '"transform" or "tied"', `"${head}"`);
}

/** The items of hidden events: `[hidden]`. */
function itemsOf({ inputs, targets }: Batch, { answers, positions }: Cloze): Tensor {
  if (!targets.item) throw new UsageError("BERT4Rec: a loss needs batches with targets");
  const column = (ids: Tensor) => reshape(ids, [positions, 1]);
  const items = concat([column(inputs.item!), column(targets.item)]);
  return reshape(embedding(items, tensor(answers)), [answers.length]);
}

/** Events that are known by their item alone: `[items]`, with empty bags. */
function withoutFeatures(
  items: Int32Array,
  features: readonly EncoderFeature[],
): Pick<Batch, "inputs" | "bags"> {
  const inputs: Record<string, Tensor> = {};
  const bags: Record<string, Batch["bags"][string]> = {};
  for (const { name, bag, size } of features)
    if (bag)
      bags[name] = {
        ids: tensor(new Int32Array()),
        offsets: tensor(new Int32Array(items.length + 1)),
      };
    else inputs[name] = tensor(name === "item" ? items : items.map(() => size));
  return { inputs, bags };
}

/** `x [events, width]` as the padded batch lies: `[size, length, width]`, zeros for padding. */
function padded(x: Tensor, { offsets, rows, positions }: Sequences, { size }: Batch): Tensor {
  const [events, width] = x.shape as [number, number];
  const at = new Int32Array(positions).fill(events);
  rows.forEach((position, event) => {
    at[position] = event;
  });
  const withPadding = concat([x, zeros([1, width])]);
  return reshape(embedding(withPadding, tensor(at)), [offsets.length - 1, positions / size, width]);
}
