/**
 * An encoder of your own, trained and measured like the built-in ones: the mean of the last few events, without any
 * attention.
 *
 *     node --import=tsx examples/own-encoder.ts
 *
 * The command line takes it from a module that exports it:
 *
 *     user-llm pretrain --data prepared/shop --encoder custom --set encoder.name=recent-mean --plugin ./own-encoder.ts
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Embedding,
  embedding,
  Linear,
  linearCrossEntropy,
  Module,
  matmul,
  reshape,
  type Tensor,
  tensor,
} from "user-llm";
import { type Batch, prepareSynthetic } from "user-llm/data";
import type { EncoderData, EncoderFamily, EncoderLoss, UserEncoder } from "user-llm/models";
import { configure, pretrain } from "user-llm/recipes";

class RecentMean extends Module implements UserEncoder {
  readonly embeddingsPerUser = 1;
  readonly features;
  readonly items: Embedding;
  readonly output: Linear;

  constructor(
    { features }: EncoderData,
    readonly width: number,
    readonly recent: number,
  ) {
    super();
    this.features = features.filter(({ name }) => name === "item");
    this.items = new Embedding(this.features[0]!.size, width);
    this.output = new Linear(width, width);
  }

  embed(batch: Batch): Tensor {
    return reshape(this.query(batch), [batch.size, 1, this.width]);
  }

  /** The mean of each history's last events, through a linear layer: `[size, width]`. */
  query({ inputs, extents, layout, size }: Batch): Tensor {
    const ids = inputs.item!;
    const length = layout === "padded" ? ids.shape[1]! : 0;
    const weights = new Float32Array(size * this.recent);
    const places = new Int32Array(size * this.recent);
    for (let user = 0; user < size; user++) {
      const begin = layout === "padded" ? user * length : extents[user]!;
      const count = layout === "padded" ? extents[user]! : extents[user + 1]! - begin;
      const taken = Math.min(count, this.recent);
      for (let i = 0; i < taken; i++) {
        places[user * this.recent + i] = begin + count - 1 - i;
        weights[user * this.recent + i] = 1 / taken;
      }
    }
    const rows = this.items.forward(reshape(ids, [ids.size]));
    const recent = reshape(embedding(rows, tensor(places)), [size, this.recent, this.width]);
    const mean = matmul(tensor(weights, { shape: [size, 1, this.recent] }), recent);
    return this.output.forward(reshape(mean, [size, this.width]));
  }

  /** Predicts the window's target alone. */
  loss(batch: Batch): EncoderLoss {
    const { targets, extents, layout, size } = batch;
    const ids = targets.item!;
    const length = layout === "padded" ? ids.shape[1]! : 0;
    const places = Int32Array.from({ length: size }, (_, user) =>
      layout === "padded" ? user * length + extents[user]! - 1 : extents[user + 1]! - 1,
    );
    const last = reshape(embedding(reshape(ids, [ids.size, 1]), tensor(places)), [size]);
    const loss = linearCrossEntropy(this.query(batch), this.items.weight.value, last);
    return { loss, parts: { item: loss }, count: size };
  }

  itemTable() {
    return { weight: this.items.weight.value };
  }
}

export const recentMean: EncoderFamily = {
  name: "recent-mean",
  create: (data, { width = 32, recent = 5 }) => new RecentMean(data, Number(width), Number(recent)),
};

const folder = await mkdtemp(join(tmpdir(), "own-encoder-"));
await prepareSynthetic(join(folder, "prepared"), { preset: "tiny" });
const config = configure({
  data: { out: join(folder, "prepared"), split: { windows: "padded", length: 20 } },
  encoder: { kind: "custom", name: "recent-mean", options: { recent: 8 } },
  pretrain: { epochs: 3, learningRate: 0.01 },
  evaluate: { baselines: ["most-popular"] },
});
const { test } = await pretrain(config, { folder: join(folder, "run"), custom: [recentMean] });
for (const { ranker, metrics } of test)
  console.log(`${ranker}: recall@10 ${metrics.all.unmasked["recall@10"]!.mean.toFixed(3)}`);
await rm(folder, { recursive: true });
