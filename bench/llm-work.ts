/** What `bench -- llm` times on our side: decoders of Llama's shape with random weights, and what is done with them. */
import {
  AdamW,
  argmax,
  embedding,
  GatedMLP,
  Linear,
  LoraLinear,
  noGrad,
  synchronize,
  type Tensor,
  tensor,
  tidy,
  valueAndGrad,
} from "../src/index.js";
import { Decoder, type DecoderOptions } from "../src/models/index.js";

export type Dtype = "float32" | "bfloat16";
export type Size = keyof typeof sizes;

/** The same in bench/peers/language.py. */
export const sizes = {
  "15M": { layers: 6, width: 288, heads: 6, kvHeads: 6, hiddenWidth: 768, vocabulary: 32_000 },
  "135M": { layers: 30, width: 576, heads: 9, kvHeads: 3, hiddenWidth: 1_536, vocabulary: 49_152 },
} as const;

/** Tokens that a decoding adds, and that the prompts before them have. */
export const decoded = 16;
export const promptLength = 32;

/** A piece of work, the same again with each call. */
export interface Work extends Disposable {
  /** @returns the logits that it ends with, or the loss, computed; it is the caller's */
  run(): Promise<Tensor>;
}

export function makeDecoder(size: Size, dtype: Dtype): Decoder {
  const options: DecoderOptions = {
    ...sizes[size],
    ...{ maxPositions: 4_096, tied: true },
    norm: { kind: "rms", eps: 1e-5 },
    positions: { base: 10_000 },
    mlp: { kind: "gated", activation: "silu" },
  };
  return new Decoder(options, { dtype });
}

/** Ids as a prompt might have them. */
export const tokensOf = (decoder: Decoder, count: number): Int32Array =>
  Int32Array.from({ length: count }, (_, i) => (i * 7_919) % decoder.options.vocabulary);

/** Reads a prompt of `length` tokens into a new cache. */
export function prefill(decoder: Decoder, length: number): Work {
  const ids = tensor(tokensOf(decoder, length));
  return {
    async run() {
      using cache = decoder.newCache({ batch: 1, capacity: length });
      const logits = tidy(() => noGrad(() => lastLogits(decoder, ids, [length], cache)));
      await synchronize();
      return logits;
    },
    [Symbol.dispose]: () => ids.dispose(),
  };
}

/** Adds the likeliest tokens to `batch` prompts, one after the other; each is read, as a generation has to. */
export async function decode(decoder: Decoder, batch: number): Promise<Work> {
  const cache = decoder.newCache({ batch, capacity: promptLength + decoded });
  const ids = tensor(tokensOf(decoder, batch * promptLength));
  const first = tidy(() =>
    noGrad(() => argmax(lastLogits(decoder, ids, new Array(batch).fill(promptLength), cache), -1)),
  );
  const counts = new Array<number>(batch).fill(1);
  const start = Int32Array.from((await first.data()) as Int32Array);
  for (const given of [ids, first]) given.dispose();
  return {
    async run() {
      let next = start;
      for (let step = 1; ; step++) {
        const { logits, chosen } = tidy(() =>
          noGrad(() => {
            const hidden = decoder.hidden(decoder.embed(tensor(next)), { counts, cache });
            const logits = decoder.logits(hidden);
            return { logits, chosen: argmax(logits, -1) };
          }),
        );
        next = Int32Array.from((await chosen.data()) as Int32Array);
        chosen.dispose();
        if (step === decoded) {
          cache.truncate(promptLength);
          return logits;
        }
        logits.dispose();
      }
    },
    [Symbol.dispose]: () => cache.dispose(),
  };
}

/** A training step of adapters beside all linear layers, which `decoder` has from now on. */
export function adapterStep(decoder: Decoder, sequences: number, length: number): Work {
  decoder.setTrainable(false);
  for (const { attention, mlp } of decoder.layers) {
    attention.query = adapted(attention.query);
    attention.key = adapted(attention.key);
    attention.value = adapted(attention.value);
    attention.output = adapted(attention.output);
    if (!(mlp instanceof GatedMLP)) throw new Error("the layer has no gated MLP");
    mlp.gate = adapted(mlp.gate);
    mlp.up = adapted(mlp.up);
    mlp.down = adapted(mlp.down);
  }
  const parameters = decoder.trainable();
  const optimizer = new AdamW(parameters, { learningRate: 1e-4 });
  const ids = tokensOf(decoder, sequences * length + 1);
  const batch = {
    size: sequences,
    ids: ids.slice(0, -1),
    counts: new Array<number>(sequences).fill(length),
    targets: ids.slice(1),
  };
  return {
    async run() {
      const loss = tidy(() => {
        const { loss, gradients } = valueAndGrad(parameters, () => decoder.loss(batch).loss);
        optimizer.step(gradients, { clipNorm: 1 });
        return loss;
      });
      await synchronize();
      return loss;
    },
    [Symbol.dispose]: () => optimizer.dispose(),
  };
}

function adapted(linear: unknown): LoraLinear {
  if (!(linear instanceof Linear)) throw new Error("the layer has no plain linear layer there");
  return new LoraLinear(linear, { rank: 8, alpha: 16 });
}

function lastLogits(
  decoder: Decoder,
  ids: Tensor,
  counts: readonly number[],
  cache: ReturnType<Decoder["newCache"]>,
): Tensor {
  const hidden = decoder.hidden(decoder.embed(ids), { counts, cache });
  let end = 0;
  const last = Int32Array.from(counts, (count) => (end += count) - 1);
  return decoder.logits(embedding(hidden, tensor(last)));
}
