/** A small encoder on invented histories, and what `fit` needs to train it: the same every time it is made. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { Loader } from "../../src/data/index.js";
import { AutoregressiveEncoder } from "../../src/models/index.js";
import { Generator, type Precision } from "../../src/ops/index.js";
import { Adafactor, AdamW, cosineWithWarmup, type Optimizer, SGD } from "../../src/optim/index.js";
import { openSafetensors, saveSafetensors, type Tensor } from "../../src/tensor/index.js";
import type { FitOptions, MetricRecord } from "../../src/train/index.js";
import { InventedData } from "../data/loader/loader-data.js";

export interface TinyOptions {
  optimizer?: "adamw" | "adafactor" | "sgd" | undefined;
  precision?: Precision | undefined;
  layout?: "padded" | "ragged" | undefined;
  /** Whether dropout draws from a generator of the model's own, or from the default one. Default: its own. */
  own?: boolean | undefined;
  dropout?: number | undefined;
  batchSize?: number | undefined;
}

const steps = 12;
const length = 6;

export class Tiny implements Disposable {
  readonly model: AutoregressiveEncoder;
  readonly optimizer: Optimizer;
  readonly loader: Loader;
  readonly generator = new Generator(11);
  readonly log: MetricRecord[] = [];

  constructor({
    optimizer = "adamw",
    precision = "float32",
    layout = "padded",
    own = true,
    dropout = 0.2,
    batchSize = 4,
  }: TinyOptions = {}) {
    const data = new InventedData([9, 3, 12, 0, 7, 1, 10, 5], 3);
    const feature = (name: string, size: number, bag = false, of: "event" | "item" = "event") => ({
      ...{ name, size, bag, of },
    });
    this.model = new AutoregressiveEncoder(
      {
        features: [feature("item", 23), feature("rating", 5), feature("genres", 6, true, "item")],
        length,
      },
      {
        ...{ layers: 1, width: 8, heads: 2, dropout, precision, featureWidths: { rating: 3 } },
        ...(own && { generator: this.generator }),
      },
    );
    const parameters = [...this.model.namedParameters()];
    this.optimizer =
      optimizer === "adafactor"
        ? new Adafactor(parameters, { learningRate: 0.1, beta1: 0.9 })
        : optimizer === "sgd"
          ? new SGD(parameters)
          : new AdamW(parameters, { weightDecay: 0.1 });
    this.loader = new Loader(data, data.windows(length), {
      ...{ batchSize, layout, shuffle: true, seed: 4, epochs: Infinity },
      features: ["item", "rating", "genres"],
    });
  }

  /** Options of a run of twelve steps. */
  options(folder?: string): FitOptions<Parameters<AutoregressiveEncoder["loss"]>[0]> {
    const { model, optimizer, loader, generator, log } = this;
    return {
      ...{ model, optimizer, steps, batches: loader, clipNorm: 1, logEvery: 2 },
      learningRate: (step) => cosineWithWarmup(step, { peak: 0.02, steps }),
      generators: [generator],
      onLog: (record) => void log.push(record),
      checkpoints: folder === undefined ? undefined : this.checkpoints(folder),
    };
  }

  checkpoints(folder: string): NonNullable<FitOptions["checkpoints"]> {
    const { model } = this;
    return {
      ...{ folder, every: 4 },
      save: (into) => saveSafetensors(join(into, "model.safetensors"), model.stateDict()),
      async load(from) {
        await using file = await openSafetensors(join(from, "model.safetensors"));
        const tensors = await file.readAll();
        model.loadStateDict(tensors);
        for (const tensor of tensors.values()) tensor.dispose();
      },
    };
  }

  /** Of all weights, their bfloat16 copies and the optimizer's state, to the bit. */
  async digest(): Promise<string> {
    const hash = createHash("sha256");
    const add = async (name: string, tensor: Tensor): Promise<void> => {
      const { buffer, byteOffset, byteLength } = await tensor.data();
      hash.update(name).update(new Uint8Array(buffer, byteOffset, byteLength));
    };
    for (const [name, parameter] of this.model.namedParameters()) {
      await add(name, parameter.value);
      if (parameter.hasShadow) await add(`${name} shadow`, parameter.shadow);
    }
    for (const [name, tensor] of this.optimizer.state()) await add(name, tensor);
    return hash.digest("hex");
  }

  /** The log without what depends on the clock. */
  get metrics(): MetricRecord[] {
    return this.log.map((record) => {
      const { examplesPerSecond: _, positionsPerSecond: __, ...values } = record.values;
      return { ...record, values };
    });
  }

  [Symbol.dispose](): void {
    this.model.dispose();
    this.optimizer.dispose();
    this.generator.dispose();
  }
}
