/** The encoder is the same model as its twin in PyTorch: scripts/goldens-autoregressive.py. */
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import type { Batch } from "../../src/data/index.js";
import {
  AdamW,
  embedding,
  memory,
  openSafetensors,
  rand,
  reshape,
  type Tensor,
  tensor,
  tidy,
  valueAndGrad,
} from "../../src/index.js";
import {
  AutoregressiveEncoder,
  type AutoregressiveOptions,
  type EncoderData,
} from "../../src/models/index.js";
import { features } from "./event-batches.js";

/** Where real positions are in a batch of windows of 6, 1 and 4 inputs, padded to 6. */
const real = Int32Array.of(0, 1, 2, 3, 4, 5, 6, 12, 13, 14, 15);

const common = { width: 8, heads: 2, hiddenWidth: 12, layers: 2, dropout: 0 } as const;

/** By golden: what the encoder is made of. */
const encoders: Readonly<Record<string, { data: EncoderData; options: AutoregressiveOptions }>> = {
  autoregressive: {
    data: { features, length: 6 },
    options: {
      featureWidths: { item: 6, genre: 3, rating: 2 },
      lossWeights: { rating: 0.5 },
      labelSmoothing: 0.1,
    },
  },
  "autoregressive-rotary": {
    data: { features, length: 6 },
    options: { featureWidths: { genre: 3, rating: 4 }, positions: "rotary" },
  },
  sasrec: { data: { features: features.slice(0, 1), length: 8 }, options: {} },
};

rand([1]).dispose(); // the default generator keeps a tensor

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

for (const [name, { data, options }] of Object.entries(encoders))
  for (const dtype of ["float64", "float32"] as const)
    test.serial(`${name} in ${dtype}: embeddings, queries and three steps`, async (t) => {
      const golden = await Golden.open(name);
      using encoder = new AutoregressiveEncoder(data, { ...common, ...options, dtype });
      encoder.loadStateDict(golden.under("parameter."));
      const batch = golden.batch();
      const compare = async (path: string, ours: Tensor): Promise<void> => {
        await golden.compare(t, path, await numbers(ours), dtype);
        ours.dispose();
      };
      await compare(
        "embeddings",
        tidy(() => embedding(reshape(encoder.embed(batch), [18, 8]), tensor(real))),
      );
      await compare(
        "query",
        tidy(() => encoder.query(batch)),
      );

      using optimizer = new AdamW(encoder.namedParameters(), {
        learningRate: 1e-2,
        weightDecay: 0.1,
      });
      const losses: number[] = [];
      const norms: number[] = [];
      for (let step = 0; step < 3; step++) {
        const made = tidy(() => {
          const { loss, parts, gradients } = valueAndGrad(encoder.trainable(), () =>
            encoder.loss(batch),
          );
          const { gradientNorm } = optimizer.step(gradients, { clipNorm: 0.5 });
          return { loss, gradientNorm: gradientNorm!, parts, gradients };
        });
        losses.push(await made.loss.item());
        norms.push(await made.gradientNorm.item());
        const paths = new Map([...encoder.namedParameters()].map(([path, each]) => [each, path]));
        if (step === 0) {
          t.is(made.gradients.size, paths.size, "every parameter has a gradient");
          for (const [part, value] of Object.entries(made.parts))
            await golden.compare(t, `part.${part}`, [await value.item()], dtype);
          for (const [parameter, gradient] of made.gradients)
            await golden.compare(
              t,
              `first.${paths.get(parameter)}`,
              await numbers(gradient),
              dtype,
            );
        }
        made.loss.dispose();
        made.gradientNorm.dispose();
        for (const each of [...Object.values(made.parts), ...made.gradients.values()])
          each.dispose();
      }
      await golden.compare(t, "losses", losses, dtype);
      await golden.compare(t, "norms", norms, dtype);
      for (const [path, { value }] of encoder.namedParameters())
        await golden.compare(
          t,
          `trained.${path}`,
          withoutKeyBias(path, await numbers(value)),
          dtype,
        );
      golden.dispose();
    });

/** The golden leaves out the bias of keys, whose gradient is what rounding leaves of zero. */
const withoutKeyBias = (path: string, values: Float64Array): Float64Array =>
  path.endsWith("qkv.bias") ? values.filter((_, i) => i < 8 || i >= 16) : values;

const numbers = async (x: Tensor): Promise<Float64Array> => Float64Array.from(await x.data());

class Golden {
  private constructor(readonly tensors: ReadonlyMap<string, Tensor>) {}

  static async open(name: string): Promise<Golden> {
    const path = fileURLToPath(new URL(`../golden/models/${name}.safetensors`, import.meta.url));
    const file = await openSafetensors(path);
    const tensors = await file.readAll({ dtype: "float64" });
    await file.close();
    return new Golden(tensors);
  }

  dispose(): void {
    for (const tensor of this.tensors.values()) tensor.dispose();
  }

  get(name: string): Tensor {
    const tensor = this.tensors.get(name);
    if (!tensor) throw new Error(`the golden has no "${name}"`);
    return tensor;
  }

  under(prefix: string): Map<string, Tensor> {
    return new Map(
      [...this.tensors]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
    );
  }

  batch(): Batch {
    const of = (...names: string[]) =>
      Object.fromEntries(
        names.map((name) => [name.split(".")[0]!, this.get(`in.${name}`)] as const),
      );
    return {
      size: 3,
      layout: "padded",
      users: Int32Array.of(0, 1, 2),
      targetRows: Float64Array.of(0, 1, 2),
      lengths: this.get("in.lengths"),
      offsets: undefined,
      extents: Int32Array.of(6, 1, 4),
      inputs: of("item", "rating"),
      bags: {
        genre: { ids: this.get("in.genre.ids"), offsets: this.get("in.genre.offsets") },
      },
      targets: of("item.targets", "genre.targets", "rating.targets"),
      keep() {
        return this;
      },
    };
  }

  /**
   * Float64 agrees to rounding. Float32 may err as PyTorch's own float32 does: its largest error, times a few since sums
   * are made in another order, and some roundings of the largest element.
   */
  async compare(
    t: ExecutionContext,
    path: string,
    ours: ArrayLike<number>,
    dtype: "float32" | "float64",
  ): Promise<void> {
    const theirs = await numbers(this.get(path));
    t.is(ours.length, theirs.length, path);
    const most = theirs.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    const error = theirs.reduce(
      (worst, value, i) => Math.max(worst, Math.abs(value - ours[i]!)),
      0,
    );
    const torch = await this.get(`error.${path}`).item();
    const tolerance = dtype === "float64" ? 1e-9 * most + 1e-12 : 4 * torch + 8 * 2 ** -23 * most;
    t.true(error <= tolerance, `${path}: ${error} > ${tolerance} (torch ${torch})`);
  }
}
