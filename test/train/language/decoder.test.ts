/** A decoder trained on packed sequences: the loss is that of each alone, and a run goes on exactly where it stopped. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { Decoder } from "../../../src/models/index.js";
import { argmax, crossEntropy, defaultGenerator, noGrad, seed } from "../../../src/ops/index.js";
import { AdamW } from "../../../src/optim/index.js";
import {
  memory,
  openSafetensors,
  saveSafetensors,
  tensor,
  tidy,
} from "../../../src/tensor/index.js";
import {
  encodeDocuments,
  encodeExamples,
  fit,
  measureLoss,
  TokenBatches,
  type TokenSequences,
  textWindows,
} from "../../../src/train/index.js";

let before = 0;
test.beforeEach(() => {
  defaultGenerator.dispose();
  before = memory().tensors;
});
test.afterEach((t) => {
  defaultGenerator.dispose();
  t.is(memory().tensors, before, "tensors leaked");
});

/** A token for each byte, then an end token. */
const bytes = {
  specials: { eos: 256 },
  encode: (text: string) => Int32Array.from(Buffer.from(text)),
};

function makeDecoder(number: number, dropout = 0): Decoder {
  defaultGenerator.dispose(); // what a new seed sets aside would count as a leak
  seed(number);
  return new Decoder(
    {
      ...{ vocabulary: 257, width: 32, layers: 2, heads: 4, kvHeads: 2, hiddenWidth: 64 },
      maxPositions: 64,
      norm: { kind: "rms", eps: 1e-6 },
      positions: { style: "half" },
      mlp: { kind: "gated", activation: "silu" },
      tied: true,
      dropout: { residual: dropout, embedding: dropout },
    },
    { std: 0.05 },
  );
}

const examples = [
  { prompt: "one: ", completion: "uno" },
  { prompt: "two: ", completion: "dos" },
  { prompt: "three: ", completion: "tres" },
  { completion: "fin" },
];

test.serial("the loss of packed sequences is that of each, token for token", async (t) => {
  using decoder = makeDecoder(1);
  const { sequences } = await encodeExamples(bytes, examples, { length: 32 });
  const all = [...Array(sequences.count).keys()];
  const packed = sequences.batch(all);
  const tokenLosses = async ({ ids, counts, targets }: typeof packed) => {
    const losses = tidy(() =>
      noGrad(() =>
        crossEntropy(decoder.forward(tensor(ids), { counts }), tensor(targets), {
          reduction: "none",
        }),
      ),
    );
    const values = [...(await losses.data())];
    losses.dispose();
    return values;
  };
  const together = await tokenLosses(packed);
  const alone: number[] = [];
  for (const index of all) alone.push(...(await tokenLosses(sequences.batch([index]))));
  t.is(together.length, alone.length);
  for (const [i, loss] of together.entries()) t.true(Math.abs(loss - alone[i]!) < 1e-5);
  const counted = together.filter((_, i) => packed.targets[i]! >= 0);
  t.is(
    counted.length,
    all.reduce((sum, index) => sum + sequences.counted(index), 0),
  );
  const mean = counted.reduce((sum, loss) => sum + loss, 0) / counted.length;
  for (const tokens of [16, 20, 64]) {
    const measured = await measureLoss(decoder, sequences, { tokens });
    t.true(Math.abs(measured.loss - mean) < 1e-5, `in batches of ${tokens}`);
    t.is(measured.tokens, counted.length);
    t.is(measured.perplexity, Math.exp(measured.loss));
    t.is(measured.logLikelihood, -measured.loss);
  }
});

test.serial(
  "a few examples are learnt by heart, and their completions come out by argmax",
  async (t) => {
    using decoder = makeDecoder(2);
    const { sequences } = await encodeExamples(bytes, examples.slice(0, 3), { length: 32 });
    const batches = await TokenBatches.open(sequences, { tokens: 32, seed: 1 });
    using optimizer = new AdamW(decoder.namedParameters());
    await fit({
      model: decoder,
      optimizer,
      batches,
      steps: 120,
      learningRate: () => 0.01,
      clipNorm: 1,
    });
    decoder.eval();
    t.true((await measureLoss(decoder, sequences, { tokens: 32 })).loss < 0.01);
    for (const { prompt = "", completion } of examples.slice(0, 3))
      t.is(await greedy(decoder, prompt), completion);
  },
);

/** The most probable text after a prompt, up to the end token. */
async function greedy(decoder: Decoder, prompt: string): Promise<string> {
  const ids = [...bytes.encode(prompt)];
  for (let length = 0; length < 12; length++) {
    const best = tidy(() => {
      const logits = noGrad(() =>
        decoder.forward(tensor(Int32Array.from(ids)), { counts: [ids.length] }),
      );
      return argmax(logits, 1);
    });
    const next = (await best.data()).at(-1)!;
    best.dispose();
    if (next === bytes.specials.eos) break;
    ids.push(next);
  }
  return Buffer.from(ids).toString().slice(prompt.length);
}

const text = "She sells sea shells by the sea shore; the shells she sells are sea shells. ".repeat(
  4,
);

test.serial("a run that is stopped anywhere and resumed ends as one that was not", async (t) => {
  const { tokens } = await encodeDocuments(bytes, [
    text,
    "Peter Piper picked a peck of pickled peppers.",
  ]);
  const windows = textWindows(tokens, 24);
  const whole = await train(t, windows, []);
  // An epoch has 4 batches: in the middle of one, and at its end.
  t.deepEqual(await train(t, windows, [3, 8, 9]), whole);
});

/** Trains 12 steps in one folder, stopped after some of them. @returns the weights */
async function train(
  t: ExecutionContext,
  windows: TokenSequences,
  stops: readonly number[],
): Promise<number[]> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-language-"));
  t.teardown(() => rm(folder, { recursive: true }));
  for (const stop of [...stops, undefined]) {
    using decoder = makeDecoder(stop ?? 3, 0.1);
    defaultGenerator.dispose(); // so would what resuming sets aside
    const controller = new AbortController();
    const batches = await TokenBatches.open(windows, { tokens: 100, seed: 5 });
    t.is(batches.batches, 4);
    using optimizer = new AdamW(decoder.namedParameters());
    const name = "model.safetensors";
    const { reason } = await fit({
      ...{ model: decoder, optimizer, batches, steps: 12, signal: controller.signal },
      learningRate(step) {
        if (step === stop) controller.abort(); // after this step
        return 0.01 / (1 + step);
      },
      checkpoints: {
        folder: join(folder, "checkpoints"),
        every: 100,
        save: (path) => saveSafetensors(join(path, name), decoder.stateDict()),
        async load(path) {
          await using file = await openSafetensors(join(path, name));
          const stored = await file.readAll();
          decoder.loadStateDict(stored);
          for (const each of stored.values()) each.dispose();
        },
      },
      resume: "auto",
    });
    t.is(reason, stop === undefined ? "finished" : "aborted");
    if (stop === undefined) {
      const values = await Promise.all(decoder.parameters().map(({ value }) => value.data()));
      return values.flatMap((each) => [...each]);
    }
  }
  return t.fail() as never;
}
