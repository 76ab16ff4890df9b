/**
 * Trains a small causal transformer, character by character, on a text that everybody has: this project's licence.
 * Then lets it write.
 *
 *     npm run quickstart
 *     npm run quickstart -- --steps=2000 --seed=7 --prompt="The Licensor "
 */
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import {
  AdamW,
  add,
  checkpoint,
  cosineWithWarmup,
  cpuInfo,
  Embedding,
  LayerNorm,
  Linear,
  linearCrossEntropy,
  Module,
  memory,
  Pacer,
  sample,
  seed,
  slice,
  type Tensor,
  TransformerBlock,
  tensor,
  tidy,
  valueAndGrad,
} from "../src/index.js";

const { values: flags } = parseArgs({
  options: {
    steps: { type: "string", default: "800" },
    seed: { type: "string", default: "1" },
    prompt: { type: "string", default: "You may " },
    text: { type: "string" },
    checkpoint: { type: "boolean", default: false },
  },
});
const steps = Number(flags.steps);
const length = 64; // characters a model sees at once
const batchSize = 16;

/** A decoder over characters: embeddings, pre-norm blocks, a linear head. */
class CharacterModel extends Module {
  readonly characters: Embedding;
  readonly positions: Embedding;
  readonly blocks: TransformerBlock[];
  readonly norm: LayerNorm;
  readonly head: Linear;

  constructor(vocabulary: number, width = 128, layers = 4, heads = 4) {
    super();
    this.characters = new Embedding(vocabulary, width);
    this.positions = new Embedding(length, width);
    this.blocks = Array.from(
      { length: layers },
      () => new TransformerBlock(width, { heads, dropout: 0.1, causal: true }),
    );
    this.norm = new LayerNorm(width);
    this.head = new Linear(width, vocabulary, { bias: false });
  }

  /** `ids [batch, length]` → what the head reads, `[batch, length, width]`. */
  hidden(ids: Tensor): Tensor {
    const [, count] = ids.shape as [number, number];
    const places = tensor(Int32Array.from({ length: count }, (_, i) => i));
    let x = add(this.characters.forward(ids), this.positions.forward(places));
    for (const block of this.blocks)
      x = flags.checkpoint ? checkpoint((x) => block.forward(x), x) : block.forward(x);
    return this.norm.forward(x);
  }

  /** Cross-entropy of the next characters; their scores are never laid out in memory. */
  loss(ids: Tensor, next: Tensor): Tensor {
    return linearCrossEntropy(this.hidden(ids), this.head.weight.value, next);
  }

  /** Draws the character after `ids [1, length]`. */
  next(ids: Tensor, temperature: number): Tensor {
    const scores = this.head.forward(this.hidden(ids));
    return sample(slice(scores, 1, ids.shape[1]! - 1, ids.shape[1]!), { temperature });
  }
}

const text = await readFile(flags.text ?? new URL("../LICENSE", import.meta.url), "utf8");
const alphabet = [...new Set(text)].sort();
const ids = Int32Array.from(text, (character) => alphabet.indexOf(character));
seed(Number(flags.seed));
const model = new CharacterModel(alphabet.length);
const { threads, isa } = cpuInfo();
console.error(
  `${text.length} characters, ${alphabet.length} different; ` +
    `${model.parameterCount.toLocaleString("en")} parameters; ${threads} threads, ${isa}`,
);

const optimizer = new AdamW(model.trainable(), { weightDecay: 0.01 });
const pacer = new Pacer();
let state = Number(flags.seed) >>> 0;
const begin = performance.now();
for (let step = 0; step < steps; step++) {
  const starts = Array.from({ length: batchSize }, () => random() % (ids.length - length - 1));
  const loss = tidy(() => {
    const { loss, gradients } = valueAndGrad(model.trainable(), () =>
      model.loss(windows(starts, 0), windows(starts, 1)),
    );
    optimizer.step(gradients, {
      learningRate: cosineWithWarmup(step, { peak: 2e-3, steps, warmup: 0.1 }),
      clipNorm: 1,
    });
    return loss;
  });
  await pacer.next();
  if (step % 100 === 0 || step === steps - 1)
    console.error(`step ${String(step).padStart(4)}  loss ${(await loss.item()).toFixed(3)}`);
  loss.dispose();
}
await pacer.finish();
const seconds = (performance.now() - begin) / 1e3;
console.error(
  `${((steps * batchSize * length) / seconds).toFixed(0)} characters a second, ` +
    `${(memory().peakBytes / 2 ** 20).toFixed(0)} MiB at most\n`,
);

model.eval();
const written = [...flags.prompt];
while (written.length < 400) {
  const context = written
    .slice(-length)
    .map((character) => Math.max(0, alphabet.indexOf(character)));
  const next = tidy(() => model.next(tensor([context], { dtype: "int32" }), 0.7));
  written.push(alphabet[await next.item()]!);
  next.dispose();
}
console.log(written.join(""));

/** The windows of the text that begin at `starts`, moved by `shift`: `[batch, length]`. */
function windows(starts: readonly number[], shift: number): Tensor {
  const rows = new Int32Array(starts.length * length);
  starts.forEach((start, i) => {
    rows.set(ids.subarray(start + shift, start + shift + length), i * length);
  });
  return tensor(rows, { shape: [starts.length, length] });
}

/** The next number of a small seeded generator (mulberry32), from 0 to 2³² - 1. */
function random(): number {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return (mixed ^ (mixed >>> 14)) >>> 0;
}
