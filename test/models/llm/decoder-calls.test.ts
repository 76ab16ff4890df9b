/** What a decoder is told, and what it refuses. */
import test from "ava";
import { ShapeError, UsageError } from "../../../src/errors.js";
import { valueAndGrad } from "../../../src/index.js";
import { Decoder, type DecoderOptions } from "../../../src/models/index.js";
import {
  add,
  defaultGenerator,
  divide,
  multiply,
  noGrad,
  seed,
  tanh,
} from "../../../src/ops/index.js";
import { memory, tensor, tidy } from "../../../src/tensor/index.js";
import { difference, logitsOf, take } from "./golden-case.js";

let before = 0;
test.beforeEach(() => {
  defaultGenerator.dispose();
  before = memory().tensors;
  seed(3);
});
test.afterEach((t) => {
  defaultGenerator.dispose();
  t.is(memory().tensors, before, "tensors leaked");
});

const plain: DecoderOptions = {
  ...{ vocabulary: 13, width: 8, layers: 3, heads: 2, hiddenWidth: 12, maxPositions: 6 },
  norm: { kind: "layer", eps: 1e-5 },
  positions: "learned",
  mlp: { kind: "plain", activation: "gelu" },
};

const ids = (...values: number[]) => tensor(Int32Array.of(...values));
const make = (options: Partial<DecoderOptions> = {}, init = {}): Decoder =>
  new Decoder({ ...plain, ...options }, { std: 0.5, ...init }).eval();

test.serial("contradicting options are refused by name", (t) => {
  const refused = (options: Partial<DecoderOptions>, message: RegExp) =>
    t.throws(() => make(options), { instanceOf: UsageError, message });
  refused({ layers: 0 }, /layers must be a whole number from 1, got 0/);
  refused({ heads: 3 }, /headWidth must be a whole number from 1, got 2\.6/);
  refused({ heads: 4, kvHeads: 3 }, /kvHeads 3 must divide heads 4/);
  refused({ windows: [2] }, /windows must be 3, one a layer, got 1/);
  refused({ attention: { packed: true, queryKeyNorm: true } }, /packed queries and keys/);
  refused({ vocabulary: 1.5 }, /vocabulary must be a whole number/);
});

test.serial("counts must be of all tokens, and of the cache's sequences", (t) => {
  using decoder = make();
  using cache = decoder.newCache({ batch: 2 });
  const forward = (counts: number[], options = {}) =>
    tidy(() => {
      noGrad(() => decoder.forward(ids(1, 2, 3), { counts, ...options }));
    });
  const refused = (message: RegExp, counts: number[], options = {}) =>
    t.throws(() => forward(counts, options), { instanceOf: ShapeError, message });
  refused(/x must be \[2, 8\], the tokens that counts add up to, got \[3, 8\]/, [1, 1]);
  refused(/counts must be whole numbers, got -1/, [4, -1]);
  refused(/counts must be whole numbers, got 1\.5/, [1.5, 1.5]);
  refused(/counts are of 1 sequences, the cache has 2/, [3], { cache });
  t.deepEqual(cache.lengths(), [0, 0]);
  t.notThrows(() => forward([0, 3], { cache }));
  t.deepEqual(cache.lengths(), [0, 3]);
});

test.serial("a sequence is no longer than there are learned positions", async (t) => {
  using decoder = make();
  using cache = decoder.newCache({ batch: 1 });
  const step = (...values: number[]) =>
    take(
      tidy(() => noGrad(() => decoder.forward(ids(...values), { counts: [values.length], cache }))),
    );
  await step(1, 2, 3, 4, 5);
  await t.throwsAsync(async () => await step(6, 7), {
    instanceOf: UsageError,
    message: /sequence 0 would have 7 tokens, more than the 6 positions/,
  });
  const last = await step(6);
  t.true(difference(last, (await logitsOf(decoder, [[1, 2, 3, 4, 5, 6]])).slice(-13)) < 1e-5);
  await t.throwsAsync(async () => await logitsOf(decoder, [[1], [1, 2, 3, 4, 5, 6, 7]]), {
    message: /sequence 1 would have 7 tokens/,
  });
});

test.serial("a batch of no tokens has no logits", async (t) => {
  using decoder = make({ positions: { base: 100 } });
  t.is((await logitsOf(decoder, [])).length, 0);
  t.is((await logitsOf(decoder, [[], []])).length, 0);
});

test.serial("a cache forgets, and goes on from there", async (t) => {
  using decoder = make({ positions: { base: 100 }, windows: [undefined, 2, undefined] });
  using cache = decoder.newCache({ batch: 2, capacity: 1 });
  const step = (counts: number[], ...values: number[]) =>
    take(tidy(() => noGrad(() => decoder.forward(ids(...values), { counts, cache }))));
  await step([3, 2], 1, 2, 3, 4, 5);
  cache.truncate([2, 2]);
  cache.select([1, 0, 0]);
  const logits = await step([1, 1, 2], 6, 7, 8, 9);
  const whole = await logitsOf(decoder, [
    [4, 5, 6],
    [1, 2, 7],
    [1, 2, 8, 9],
  ]);
  const rows = [2, 5, 8, 9].flatMap((row) => [...whole.slice(row * 13, (row + 1) * 13)]);
  t.true(difference(logits, rows) < 1e-5);
});

test.serial("no gradient passes through a cache", (t) => {
  using decoder = make();
  using cache = decoder.newCache({ batch: 1 });
  const body = () =>
    tidy(() =>
      valueAndGrad(decoder.trainable(), () => {
        const hidden = decoder.hidden(decoder.embed(ids(1, 2)), { counts: [2], cache });
        return decoder.lossOf(hidden, Int32Array.of(2, 3)).loss;
      }),
    );
  t.throws(body, { instanceOf: UsageError, message: /a cache has no gradient/ });
});

test.serial("what goes into a layer can be replaced, in each of them", async (t) => {
  using decoder = make();
  const seen: number[] = [];
  const changed = await take(
    tidy(() =>
      noGrad(() =>
        decoder.forward(ids(1, 2, 3), {
          counts: [3],
          beforeLayer(x, layer) {
            seen.push(layer);
            t.deepEqual(x.shape, [3, 8]);
            return layer === 1 ? add(x, tensor([1, -1, 0, 0, 0, 0, 0, 2])) : x;
          },
        }),
      ),
    ),
  );
  t.deepEqual(seen, [0, 1, 2]);
  t.true(difference(changed, await logitsOf(decoder, [[1, 2, 3]])) > 0.01);
});

test.serial("logits are limited by the soft cap, and scale with the embeddings", async (t) => {
  using free = make({ tied: true });
  using limited = make({ tied: true, softCap: 0.5, embeddingScale: 2 });
  limited.loadStateDict(
    new Map([...free.namedParameters()].map(([path, { value }]) => [path, value])),
  );
  const expected = await take(
    tidy(() =>
      noGrad(() => {
        const hidden = free.hidden(multiply(free.embed(ids(1, 2, 3)), 2), { counts: [3] });
        return multiply(tanh(divide(free.logits(hidden), 0.5)), 0.5);
      }),
    ),
  );
  const logits = await logitsOf(limited, [[1, 2, 3]]);
  t.true(difference(logits, expected) < 1e-6);
  t.true(logits.every((logit) => Math.abs(logit) <= 0.5));
});

test.serial("the loss is that of the logits, over the targets that count", async (t) => {
  for (const softCap of [undefined, 2]) {
    using decoder = make({ softCap, headBias: true });
    const batch = {
      ...{ size: 2, ids: Int32Array.of(1, 2, 3, 4), counts: [3, 1] },
      targets: Int32Array.of(-100, 12, 0, 5),
    };
    const logits = await logitsOf(decoder, [[1, 2, 3], [4]]);
    let expected = 0;
    for (const [row, target] of batch.targets.entries()) {
      if (target < 0) continue;
      const scores = logits.slice(row * 13, (row + 1) * 13);
      const sum = scores.reduce((sum, score) => sum + Math.exp(score), 0);
      expected += (Math.log(sum) - scores[target]!) / 3;
    }
    const { loss, count } = tidy(() => noGrad(() => decoder.loss(batch)));
    t.is(count, 3);
    t.true(difference(await take(loss), [expected]) < 1e-6);
  }
});

test.serial("products in bfloat16 are close, and train the float32 weights", async (t) => {
  using decoder = make({}, { precision: "float32" });
  using rounded = make({}, { precision: "bfloat16" });
  const parameters = new Map(
    [...decoder.namedParameters()].map(([path, { value }]) => [path, value]),
  );
  rounded.loadStateDict(parameters);
  const sequences = [[1, 2, 3, 4, 5]];
  const error = difference(await logitsOf(rounded, sequences), await logitsOf(decoder, sequences));
  t.true(error > 1e-5 && error < 0.05, `${error}`);
  const batch = {
    ...{ size: 1, ids: Int32Array.of(1, 2, 3), counts: [3], targets: Int32Array.of(2, 3, 4) },
  };
  const { loss, gradients } = tidy(() =>
    valueAndGrad(rounded.trainable(), () => rounded.loss(batch).loss),
  );
  t.is(gradients.size, rounded.trainable().length);
  for (const each of [loss, ...gradients.values()]) {
    t.is(each.dtype, "float32");
    each.dispose();
  }
});

test.serial("dropout is drawn while training, the same for the same generator", async (t) => {
  using decoder = make({ dropout: { attention: 0.3, residual: 0.3, embedding: 0.3 } });
  const still = await logitsOf(decoder, [[1, 2, 3]]);
  t.deepEqual(await logitsOf(decoder, [[1, 2, 3]]), still);
  decoder.train();
  reseed();
  const one = await logitsOf(decoder, [[1, 2, 3]]);
  t.true(difference(one, still) > 0.01);
  reseed();
  t.deepEqual(await logitsOf(decoder, [[1, 2, 3]]), one);
});

/** A sequence that begins again leaves its tensor to whoever may need it. */
function reseed(): void {
  defaultGenerator.dispose();
  seed(1);
}
