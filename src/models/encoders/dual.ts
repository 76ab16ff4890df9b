import type { Batch } from "../../data/index.js";
import { UsageError } from "../../errors.js";
import { Module } from "../../nn/index.js";
import { arange, concat, multiply, reshape, rmsNorm } from "../../ops/index.js";
import { keep, tidy } from "../../tensor/memory.js";
import { type Tensor, tensor } from "../../tensor/tensor.js";
import { type DualOptions, type DualSettings, resolveDualOptions } from "./dual-options.js";
import type {
  EncoderData,
  EncoderFeature,
  EncoderLoss,
  ItemTable,
  TrainingData,
  UserEncoder,
} from "./encoder.js";
import { itemValuesOf } from "./item-values.js";
import { labelShares } from "./label-shares.js";
import { fullSoftmax, inBatchSoftmax, known } from "./label-softmax.js";
import { LabelTower } from "./label-tower.js";
import { lastOf } from "./positions.js";
import { UserTower } from "./user-tower.js";

/** Labels embedded at a time where all are: bounds the memory inside the label tower. */
const labelBlock = 16_384;

/**
 * The paper's encoder with late fusion: a user tower reads the history, a label tower what comes next, and training
 * brings the embeddings of the two together. A user is one embedding, or `outputs` of them; a label's score is then the
 * highest of the products, in training as in ranking, and only the embedding that has it learns from it.
 *
 * @see Ning et al., "User-LLM", arXiv:2402.13598, appendix A
 */
export class DualEncoder extends Module implements UserEncoder {
  readonly features: readonly EncoderFeature[];
  readonly label: EncoderFeature;
  readonly width: number;
  readonly embeddingsPerUser: number;
  readonly user: UserTower;
  readonly labels: LabelTower;
  readonly #settings: DualSettings;
  /** Of each label the logarithm of its share of the training targets, `[labels, 1]`. */
  readonly #logShares: Tensor | undefined;
  /** Whether training would miss what only the training data says. */
  readonly #lacksData: boolean;

  /**
   * @param training of no use to an encoder that is loaded to be read
   * @throws UsageError when options do not fit each other or the data
   */
  constructor(data: EncoderData, options: DualOptions = {}, training?: TrainingData) {
    super();
    const settings = resolveDualOptions(data, options);
    const { label, userFeatures, labelFeatures, softmax, logQ } = settings;
    const described = labelFeatures.filter((feature) => feature !== label);
    const itemValues = itemValuesOf(described, label.size, training?.itemValues);
    const corrects = softmax === "in-batch" && logQ;
    const shares = corrects && training ? labelShares(label, training) : undefined;

    this.features = settings.features;
    this.label = label;
    this.width = settings.width;
    this.embeddingsPerUser = settings.outputs;
    this.user = new UserTower(userFeatures, { ...settings, length: data.length });
    this.labels = new LabelTower(label, labelFeatures, {
      ...settings,
      ids: settings.tieItems ? this.user.towers.get("item")!.table : undefined,
      itemValues,
    });
    this.#settings = settings;
    this.#logShares =
      shares && keep(tensor(Float32Array.from(shares, Math.log), { shape: [label.size, 1] }));
    this.#lacksData = !training && (corrects || described.length > 0);
  }

  /** `[size, outputs, width]` */
  embed(batch: Batch): Tensor {
    return this.user.forward(batch);
  }

  /**
   * @param labels `[size]`, int32: what to predict in place of the label feature of the next event, as a user's favourite
   *               category; -100 where there is none
   * @throws UsageError in training where the encoder was made without training data that it needs
   */
  loss(batch: Batch, labels?: Tensor): EncoderLoss {
    if (this.training && this.#lacksData)
      throw new UsageError(
        "DualEncoder: training needs the training data: how often items are targets, and their features",
      );
    const { softmax, precision } = this.#settings;
    const wanted = labels ?? this.#labelsOf(batch);
    const queries = this.#queries(batch);
    const sum =
      softmax === "full"
        ? fullSoftmax(queries, this.#embedded(), wanted, precision)
        : inBatchSoftmax(queries, this.#embedded(known(wanted)), wanted, {
            logShares: this.training ? this.#logShares : undefined,
            precision,
          });
    const loss = multiply(sum, 1 / Math.max(1, batch.size));
    return { loss, parts: { [this.label.name]: loss }, count: batch.size };
  }

  query(batch: Batch): Tensor {
    const queries = this.#queries(batch);
    return this.embeddingsPerUser === 1 ? reshape(queries, [batch.size, this.width]) : queries;
  }

  itemTable(): ItemTable {
    if (this.label.name !== "item")
      throw new UsageError(
        `DualEncoder: its labels are values of ${this.label.name}, not items; labelTable() has them`,
      );
    return this.labelTable();
  }

  /** All labels, as {@link itemTable} has items. */
  labelTable(): ItemTable {
    const { size } = this.label;
    return tidy(() => {
      const blocks: Tensor[] = [];
      for (let from = 0; from < size; from += labelBlock) {
        const count = Math.min(labelBlock, size - from);
        blocks.push(this.#embedded(size > labelBlock ? arange(from, from + count) : undefined));
      }
      const weight = blocks.length === 1 ? blocks[0]! : concat(blocks, 0);
      return { weight, precision: this.#settings.precision };
    });
  }

  override dispose(): void {
    super.dispose();
    this.#logShares?.dispose();
  }

  /** `[size, outputs, width]`, so that products with {@link labelTable} are the scores. */
  #queries(batch: Batch): Tensor {
    return this.#scaled(this.embed(batch), 1 / this.#settings.temperature);
  }

  #embedded(labels?: Tensor): Tensor {
    return this.#scaled(this.labels.forward(labels), 1);
  }

  /** Of length `scale`, if scores are cosines; else multiplied by it. */
  #scaled(x: Tensor, scale: number): Tensor {
    if (!this.#settings.normalize) return scale === 1 ? x : multiply(x, scale);
    return multiply(rmsNorm(x, undefined, { eps: 1e-12 }), scale / Math.sqrt(this.width));
  }

  /** The label feature of the last targets: `[size]`, or `[size, longest]` of a bag. */
  #labelsOf(batch: Batch): Tensor {
    const { name, bag } = this.label;
    const targets = batch.targets[name];
    if (!targets) throw new UsageError(`DualEncoder: the batch has no targets of ${name}`);
    if (bag && this.#settings.softmax === "in-batch")
      throw new UsageError(
        `DualEncoder: ${name} has several values for an event, which takes softmax "full"`,
      );
    if (bag) return lastOf(targets, batch);
    return reshape(lastOf(reshape(targets, [...targets.shape, 1]), batch), [batch.size]);
  }
}
