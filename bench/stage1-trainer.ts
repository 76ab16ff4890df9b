/** The training of stage 1 that benchmarks time: the paper's encoder on invented events. */
import type { Batch } from "../src/data/index.js";
import { AdamW, type Precision, type Tensor, tensor, tidy, valueAndGrad } from "../src/index.js";
import { AutoregressiveEncoder, type EncoderFeature } from "../src/models/index.js";
import type { HostTensors } from "../test/cases/case.js";
import { hostRandom } from "../test/cases/random-host.js";

export const batch = 128;
export const length = 50;
export const width = 128;
export const heads = 8;
export const layers = 6;
/** Different values of each feature; MovieLens 20M's. */
export const values = { item: 26_744, genre: 20, rating: 10 } as const;
/** Of the features' embeddings. */
export const widths = { item: 128, genre: 16, rating: 16 } as const;

const names = ["item", "genre", "rating"] as const;

/** By feature the ids of whole histories, `[batch, length + 1]`: items as popular as films are, the rest evenly. */
export function events(): HostTensors {
  const random = hostRandom("stage 1");
  const shape = [batch, length + 1];
  const chances = Array.from({ length: values.item }, (_, i) => (i + 1) ** -0.9);
  let total = 0;
  const cumulative = chances.map((chance) => (total += chance));
  const drawn = random.uniform(shape, 0, total).data.map((share) => firstAbove(cumulative, share));
  return {
    item: random.values(shape, drawn, "int32"),
    genre: random.integers(shape, values.genre),
    rating: random.integers(shape, values.rating),
  };
}

function firstAbove(cumulative: readonly number[], share: number): number {
  let [low, high] = [0, cumulative.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cumulative[middle]! > share) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The model, its optimizer and a batch. */
export class Trainer implements Disposable {
  readonly #model: AutoregressiveEncoder;
  readonly #optimizer: AdamW;
  readonly #batch: Batch;
  readonly #owned: Tensor[] = [];

  constructor(ids: HostTensors, precision: Precision) {
    const features = names.map(
      (name): EncoderFeature => ({ name, bag: false, size: values[name], of: "event" }),
    );
    this.#model = new AutoregressiveEncoder(
      { features, length },
      { ...{ layers, width, heads, precision }, dropout: 0, featureWidths: widths },
    );
    this.#optimizer = new AdamW(this.#model.trainable(), { learningRate: 1e-4 });
    this.#batch = this.#batchOf(ids);
  }

  get parameters(): number {
    return this.#model.parameterCount;
  }

  /** Enqueues a step; its loss is the caller's. */
  step(): Tensor {
    return tidy(() => {
      const parameters = this.#model.trainable();
      const { loss, gradients } = valueAndGrad(parameters, () => this.#model.loss(this.#batch));
      this.#optimizer.step(gradients, { clipNorm: 1 });
      return loss;
    });
  }

  [Symbol.dispose](): void {
    this.#model.dispose();
    this.#optimizer.dispose();
    for (const given of this.#owned) given.dispose();
  }

  #batchOf(ids: HostTensors): Batch {
    const own = (data: Int32Array, shape: readonly number[]): Tensor => {
      const made = tensor(data, { shape });
      this.#owned.push(made);
      return made;
    };
    const columns = (from: number): Record<string, Tensor> =>
      Object.fromEntries(
        names.map((name) => {
          const { data } = ids[name]!;
          const part = Int32Array.from(
            { length: batch * length },
            (_, i) => data[Math.floor(i / length) * (length + 1) + (i % length) + from]!,
          );
          return [name, own(part, [batch, length])];
        }),
      );
    const extents = new Int32Array(batch).fill(length);
    return {
      ...{ size: batch, layout: "padded", extents, lengths: own(extents, [batch]) },
      ...{ offsets: undefined, bags: {}, inputs: columns(0), targets: columns(1) },
      users: Int32Array.from({ length: batch }, (_, i) => i),
      targetRows: new Float64Array(batch),
      keep() {
        return this;
      },
    };
  }
}
