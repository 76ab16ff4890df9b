import test from "ava";
import { DecodeLoop, type StepSequences } from "../../src/generate/index.js";
import { type Decoder, loadDecoder } from "../../src/models/index.js";
import { add, noGrad } from "../../src/ops/index.js";
import { memory, type Tensor, tensor, tidy } from "../../src/tensor/index.js";
import { difference, goldenFolder, logitsOf, take } from "../models/llm/golden-case.js";

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

const tolerance = 1e-5;
const sequences = [[5, 6, 7, 8, 9, 10, 11], [3], [12, 13, 14, 15], [4, 4]];
const starts = sequences.map((ids) => ({ ids: Int32Array.from(ids) }));

/** Logits after the last token of each, without a cache. */
async function lastLogits(
  decoder: Decoder,
  sequences: readonly (readonly number[])[],
): Promise<number[]> {
  const { vocabulary } = decoder.options;
  const all = await Promise.all(sequences.map((each) => logitsOf(decoder, [each])));
  return all.flatMap((logits) => [...logits.slice(-vocabulary)]);
}

// Turned, learned and windowed positions.
for (const name of ["llama", "gpt2", "mistral"])
  for (const chunk of [1, 3, 5, 1024])
    test.serial(`${name}, read ${chunk} tokens at a time, then token by token`, async (t) => {
      const { decoder } = await loadDecoder(goldenFolder(name));
      using _ = decoder;
      using loop = new DecodeLoop(decoder, starts, { chunk, capacity: 2 });
      const told: number[] = [];
      const onProgress = ({ done }: { done: number }) => void told.push(done);
      const first = await take(await loop.start({ onProgress }));
      t.true(difference(first, await lastLogits(decoder, sequences)) < tolerance);
      t.deepEqual(
        told,
        chunk > 14
          ? []
          : Array.from({ length: Math.ceil(14 / chunk) }, (_, i) => Math.min(14, chunk * (i + 1))),
      );

      const longer = sequences.map((ids, i) => [...ids, 20 + i]);
      const second = await take(loop.step(Int32Array.of(20, 21, 22, 23)));
      t.true(difference(second, await lastLogits(decoder, longer)) < tolerance);

      loop.select([2, 0, 0]);
      const left = [
        [...longer[2]!, 1],
        [...longer[0]!, 2],
        [...longer[0]!, 3],
      ];
      const third = await take(loop.step(Int32Array.of(1, 2, 3)));
      t.true(difference(third, await lastLogits(decoder, left)) < tolerance);
    });

for (const chunk of [2, 1024])
  test.serial(`vectors before the tokens, read ${chunk} rows at a time`, async (t) => {
    const { decoder } = await loadDecoder(goldenFolder("gpt2"));
    using _ = decoder;
    // Vectors that are those of tokens are as good as these tokens.
    const prefix = (ids: readonly number[]): Tensor =>
      tidy(() => noGrad(() => decoder.embed(tensor(Int32Array.from(ids)))));
    using one = prefix([5, 6, 7]);
    using other = prefix([3]);
    using loop = new DecodeLoop(
      decoder,
      [
        { prefix: one, ids: Int32Array.of(8, 9, 10, 11) },
        { prefix: other, ids: new Int32Array() },
        { ids: Int32Array.of(12, 13, 14, 15) },
        { prefix: one, ids: Int32Array.of(4) },
      ],
      { chunk },
    );
    const first = await take(await loop.start());
    const whole = [...sequences.slice(0, 3), [5, 6, 7, 4]];
    t.true(difference(first, await lastLogits(decoder, whole)) < tolerance);
    const longer = whole.map((ids) => [...ids, 2]);
    const second = await take(loop.step(Int32Array.of(2, 2, 2, 2)));
    t.true(difference(second, await lastLogits(decoder, longer)) < tolerance);
  });

test.serial("what comes before a layer is told which sequences the rows are of", async (t) => {
  const { decoder } = await loadDecoder(goldenFolder("llama"));
  using _ = decoder;
  const steps: (StepSequences & { layer: number; rows: number })[] = [];
  using loop = new DecodeLoop(decoder, starts, {
    chunk: 9,
    beforeLayer: (x, layer, step) => {
      steps.push({ ...step, layer, rows: x.shape[0]! });
      return layer === 0 ? add(x, 1) : x;
    },
  });
  const changed = await take(await loop.start());
  t.false(difference(changed, await lastLogits(decoder, sequences)) < 0.01);
  loop.select([3, 1]);
  await take(loop.step(Int32Array.of(1, 2)));
  const layers = decoder.options.layers;
  const each = (step: StepSequences, rows: number) =>
    Array.from({ length: layers }, (_, layer) => ({ ...step, layer, rows }));
  t.deepEqual(steps, [
    ...each({ counts: [7, 1, 1, 0], sequences: [0, 1, 2, 3] }, 9),
    ...each({ counts: [0, 0, 3, 2], sequences: [0, 1, 2, 3] }, 5),
    ...each({ counts: [1, 1], sequences: [3, 1] }, 2),
  ]);
});

test.serial("an aborted signal ends the reading between two pieces", async (t) => {
  const { decoder } = await loadDecoder(goldenFolder("gpt2"));
  using _ = decoder;
  using loop = new DecodeLoop(decoder, starts, { chunk: 2 });
  const controller = new AbortController();
  const reason = new Error("enough");
  const told: number[] = [];
  const onProgress = ({ done }: { done: number }): void => {
    told.push(done);
    if (done === 4) controller.abort(reason);
  };
  const { signal } = controller;
  t.is(await t.throwsAsync(loop.start({ signal, onProgress })), reason);
  t.deepEqual(told, [2, 4]);
});
