/** Sequences of tokens in batches: what is in them, how full they are, and where the cursor stands. */
import test from "ava";
import fc from "fast-check";
import { UsageError } from "../../../src/errors.js";
import type { TokenBatch } from "../../../src/models/index.js";
import { TokenBatches, TokenSequences, textWindows } from "../../../src/train/index.js";
import { packFirstFitDecreasing } from "../../../src/train/language/pack.js";

/** Sequences with the given numbers of inputs, whose tokens are all different, and contexts as long as there is room. */
function sequencesOf(inputs: readonly number[], context = 1): TokenSequences {
  const ends: number[] = [];
  for (const count of inputs) ends.push((ends.at(-1) ?? 0) + count + 1);
  return new TokenSequences(
    Int32Array.from({ length: ends.at(-1) ?? 0 }, (_, i) => i),
    {
      starts: Float64Array.from(ends, (_, i) => ends[i - 1] ?? 0),
      ends: Float64Array.from(ends),
      contexts: Int32Array.from(inputs, (count) => Math.min(context, count)),
    },
  );
}

async function take(batches: TokenBatches, count: number): Promise<TokenBatch[]> {
  const taken: TokenBatch[] = [];
  if (count > 0) for await (const batch of batches) if (taken.push(batch) === count) break;
  return taken;
}

/** Batches until every sequence has come once. */
async function epoch(batches: TokenBatches): Promise<TokenBatch[]> {
  const taken: TokenBatch[] = [];
  let left = batches.sequences.count;
  for await (const batch of batches) {
    taken.push(batch);
    left -= batch.size;
    if (left <= 0) break;
  }
  return taken;
}

const lengths = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 80 });

test("every sequence comes once an epoch, whole, and no batch is over its size", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      lengths,
      fc.nat(1000),
      fc.integer({ min: 30, max: 90 }),
      fc.nat(5),
      async (inputs, seed, tokens, context) => {
        const sequences = sequencesOf(inputs, 1 + context);
        const batches = await TokenBatches.open(sequences, { tokens, seed });
        for (const pass of [0, 1]) {
          const taken = await epoch(batches);
          if (pass === 0) t.is(taken.length, batches.batches);
          const starts: number[] = [];
          for (const { size, ids, counts, targets } of taken) {
            t.is(counts.length, size);
            t.true(ids.length <= tokens);
            t.is(
              ids.length,
              counts.reduce((sum, count) => sum + count, 0),
            );
            let at = 0;
            for (const count of counts) {
              const first = ids[at]!;
              starts.push(first);
              const index = sequences.spans.starts.indexOf(first);
              t.is(sequences.inputs(index), count);
              const counted = sequences.counted(index);
              for (let i = 0; i < count; i++) {
                t.is(ids[at + i], first + i);
                t.is(targets[at + i], i < count - counted ? -100 : first + i + 1);
              }
              at += count;
            }
          }
          t.deepEqual(
            starts.sort((a, b) => a - b),
            [...sequences.spans.starts],
          );
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("epochs differ, and equal options give equal batches", async (t) => {
  const sequences = sequencesOf(Array.from({ length: 40 }, (_, i) => 1 + (i % 7)));
  const open = (seed: number, shuffle = true) =>
    TokenBatches.open(sequences, { tokens: 16, seed, shuffle });
  const batches = await open(1);
  const [first, second] = [await epoch(batches), await epoch(batches)];
  t.notDeepEqual(first, second);
  t.deepEqual(await epoch(await open(1)), first);
  t.notDeepEqual(await epoch(await open(2)), first);
  const inOrder = await open(1, false);
  t.deepEqual(await epoch(inOrder), await epoch(inOrder));
});

test("many sequences are packed pool by pool, nearly full", async (t) => {
  const inputs = Array.from({ length: 5000 }, (_, i) => 1 + ((i * 7919) % 200));
  const batches = await TokenBatches.open(sequencesOf(inputs), { tokens: 1024 });
  const taken = await epoch(batches);
  t.is(taken.length, batches.batches);
  const tokens = inputs.reduce((sum, count) => sum + count, 0);
  t.true(tokens / (1024 * taken.length) > 0.98, `${tokens / (1024 * taken.length)}`);
  t.is(batches.state().position, 5000);
});

test("a cursor goes on exactly where it stood, in the middle of an epoch and at its end", async (t) => {
  const inputs = Array.from({ length: 2100 }, (_, i) => 1 + (i % 9));
  const open = () => TokenBatches.open(sequencesOf(inputs), { tokens: 40, seed: 3 });
  const whole = await open();
  const all = await take(whole, 2 * whole.batches + 5);
  for (const done of [0, 1, 150, whole.batches, whole.batches + 3]) {
    const before = await open();
    await take(before, done);
    const after = await open();
    after.load(JSON.parse(JSON.stringify(before.state())));
    t.deepEqual(await take(after, 5), all.slice(done, done + 5), `after ${done}`);
    t.deepEqual(await take(before, 5), all.slice(done, done + 5), `after ${done}, another loop`);
  }
});

test("a cursor of something else is refused, and changes nothing", async (t) => {
  const batches = await TokenBatches.open(sequencesOf([3, 3, 3, 3]), { tokens: 6 });
  await take(batches, 1);
  const state = batches.state();
  t.is(state.position, 2);
  for (const [inputs, options] of [
    [[3, 3, 3, 2], { tokens: 6 }],
    [[3, 3, 3, 3], { tokens: 7 }],
    [[3, 3, 3, 3], { tokens: 6, seed: 1 }],
  ] as const) {
    const other = await TokenBatches.open(sequencesOf(inputs), options);
    t.throws(() => batches.load(other.state()), {
      instanceOf: UsageError,
      message: /other sequences/,
    });
  }
  t.throws(() => batches.load({ ...state, position: 1 }), {
    message: /no batch of epoch 0 begins at 1/,
  });
  t.deepEqual(batches.state(), state);
});

test("first-fit-decreasing packs as its definition says", (t) => {
  t.deepEqual(packFirstFitDecreasing([2, 5, 4, 7, 1, 3, 8], 10), [
    [6, 0],
    [3, 5],
    [1, 2, 4],
  ]);
  t.deepEqual(packFirstFitDecreasing([], 10), []);
});

test("windows of a text have every token as a target once", (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 100 }),
      fc.integer({ min: 1, max: 20 }),
      (size, length) => {
        const windows = textWindows(
          Int32Array.from({ length: size }, (_, i) => i),
          length,
        );
        const { ids, targets, counts } = windows.batch([...Array(windows.count).keys()]);
        t.true(counts.every((count) => count <= length));
        t.deepEqual(
          [...ids],
          Array.from({ length: size - 1 }, (_, i) => i),
        );
        t.deepEqual(
          [...targets],
          Array.from({ length: size - 1 }, (_, i) => i + 1),
        );
      },
    ),
  );
  t.is(textWindows(new Int32Array(1), 4).count, 0);
});

test("what cannot be batches is refused", async (t) => {
  const sequences = sequencesOf([3, 9]);
  const refused = (message: RegExp) => ({ instanceOf: UsageError, message });
  await t.throwsAsync(
    TokenBatches.open(sequences, { tokens: 8 }),
    refused(/sequence 1 has 9 inputs/),
  );
  await t.throwsAsync(TokenBatches.open(sequences, { tokens: 0 }), refused(/tokens must be/));
  await t.throwsAsync(
    TokenBatches.open(sequences, { tokens: 9, seed: -1 }),
    refused(/seed must be/),
  );
  await t.throwsAsync(TokenBatches.open(sequencesOf([]), { tokens: 8 }), refused(/no sequences/));
  t.throws(() => textWindows(new Int32Array(5), 0), refused(/length must be/));
  const one = Float64Array.of(1);
  t.throws(
    () =>
      new TokenSequences(new Int32Array(3), {
        starts: one,
        ends: one.map(() => 3),
        contexts: Int32Array.of(2),
      }),
    refused(/sequence 0 must have more tokens than its context/),
  );
});
