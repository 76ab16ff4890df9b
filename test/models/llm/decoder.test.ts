/** What holds for a decoder of any family: of every golden configuration, with random weights. */
import test from "ava";
import fc from "fast-check";
import { AdamW, valueAndGrad } from "../../../src/index.js";
import { Decoder, type DecoderOptions, type TokenBatch } from "../../../src/models/index.js";
import { defaultGenerator, Generator, noGrad } from "../../../src/ops/index.js";
import { memory, tensor, tidy } from "../../../src/tensor/index.js";
import { difference, goldenCases, goldenOptions, logitsOf } from "./golden-case.js";

let before = 0;
test.beforeEach(() => {
  defaultGenerator.dispose();
  before = memory().tensors;
});
test.afterEach((t) => {
  defaultGenerator.dispose();
  t.is(memory().tensors, before, "tensors leaked");
});

const families = goldenCases.filter((name) => !/float16$/.test(name));

/** Large weights, so that nothing is lost in rounding; norms and biases are random too. */
async function makeDecoder(
  options: DecoderOptions,
  dtype: "float32" | "float64" = "float32",
): Promise<Decoder> {
  using generator = new Generator(7);
  const decoder = new Decoder(options, { std: 0.4, dtype, generator });
  const random = numbersFrom(1);
  for (const [, parameter] of decoder.namedParameters()) {
    if (parameter.shape.length !== 1) continue;
    const values = [...(await parameter.value.data())].map((value) => value + 0.3 * random());
    parameter.assign(tensor(values, { dtype: parameter.value.dtype }));
  }
  return decoder.eval();
}

/** The same numbers from -1 to 1 every time. */
function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

const vocabulary = 32;
const tokens = (length: number): number[] =>
  Array.from({ length }, (_, i) => (i * 11 + 5) % vocabulary);

const rowsOf = (logits: Float32Array): Float32Array[] =>
  Array.from({ length: logits.length / vocabulary }, (_, i) =>
    logits.slice(i * vocabulary, (i + 1) * vocabulary),
  );

for (const name of families) {
  test.serial(
    `${name}: a token changes nothing before it, and nothing in other sequences`,
    async (t) => {
      using decoder = await makeDecoder(goldenOptions(name));
      const lengths = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 4 });
      const cases = lengths.chain((lengths) => {
        const total = lengths.reduce((a, b) => a + b, 0);
        return fc.record({
          lengths: fc.constant(lengths),
          at: fc.nat({ max: Math.max(0, total - 1) }),
          total: fc.constant(total),
        });
      });
      await fc.assert(
        fc.asyncProperty(
          cases.filter(({ total }) => total > 0),
          async ({ lengths, at, total }) => {
            const ids = tokens(total);
            const changed = ids.with(at, (ids[at]! + 1) % vocabulary);
            const one = rowsOf(await logitsOf(decoder, cut(ids, lengths)));
            const other = rowsOf(await logitsOf(decoder, cut(changed, lengths)));
            const end = endOfSequence(lengths, at);
            for (const [row, logits] of one.entries())
              if (row < at || row >= end) t.deepEqual(other[row], logits);
            t.notDeepEqual(other[at], one[at]);
          },
        ),
        { numRuns: 8 },
      );
    },
  );

  test.serial(
    `${name}: with a window, a token is forgotten where no layer reaches it`,
    async (t) => {
      const options = goldenOptions(name);
      const window = 3;
      const { layers } = options;
      using decoder = await makeDecoder({ ...options, windows: new Array(layers).fill(window) });
      const ids = tokens(18);
      const one = rowsOf(await logitsOf(decoder, [ids]));
      const other = rowsOf(await logitsOf(decoder, [ids.with(2, 31)]));
      const reach = 2 + layers * (window - 1);
      for (const [row, logits] of one.entries())
        if (row < 2 || row > reach) t.deepEqual(other[row], logits, `row ${row}`);
        else t.notDeepEqual(other[row], logits, `row ${row}`);
    },
  );

  test.serial(`${name}: a single layer tells which of two earlier tokens came first`, async (t) => {
    const options = { ...goldenOptions(name), layers: 1, windows: undefined };
    using decoder = await makeDecoder(options);
    const [first, second, ...rest] = tokens(6) as [number, number, ...number[]];
    const one = rowsOf(await logitsOf(decoder, [[first, second, ...rest]]));
    const other = rowsOf(await logitsOf(decoder, [[second, first, ...rest]]));
    t.true(difference(one.at(-1)!, other.at(-1)!) > 1e-3);
  });

  test.serial(`${name}: gradients of all parameters are central differences`, async (t) => {
    using decoder = await makeDecoder(goldenOptions(name), "float64");
    const batch = batchOf([1, 6, 4]);
    const { gradients, loss } = tidy(() =>
      valueAndGrad(decoder.trainable(), () => decoder.loss(batch).loss),
    );
    const again = tidy(() =>
      valueAndGrad(decoder.trainable(), () => decoder.loss(batch, { checkpoint: true }).loss),
    );
    t.is(await loss.item(), await again.loss.item());
    const random = numbersFrom(3);
    for (const [kind, members] of byKind(decoder)) {
      let slope = 0;
      let size = 0;
      const moves: { values: Float64Array; direction: Float64Array }[] = [];
      for (const parameter of members) {
        const gradient = await gradients.get(parameter)!.data();
        t.deepEqual(
          await again.gradients.get(parameter)!.data(),
          gradient,
          `${kind}, computed again`,
        );
        const values = Float64Array.from(await parameter.value.data());
        const direction = values.map(() => Math.sign(random()) || 1);
        for (const [i, each] of direction.entries()) slope += each * gradient[i]!;
        for (const each of gradient) size += Math.abs(each);
        moves.push({ values, direction });
      }
      const eps = 1e-5;
      const lossAt = async (step: number): Promise<number> => {
        for (const [i, parameter] of members.entries()) {
          const { values, direction } = moves[i]!;
          const moved = values.map((value, k) => value + step * direction[k]!);
          parameter.assign(tensor(moved, { shape: parameter.shape }));
        }
        const loss = tidy(() => noGrad(() => decoder.loss(batch).loss));
        const value = (await loss.item()) as number;
        loss.dispose();
        return value;
      };
      const measured = ((await lossAt(eps)) - (await lossAt(-eps))) / (2 * eps);
      await lossAt(0);
      t.true(size > 0, kind);
      t.true(Math.abs(measured - slope) < 1e-6 * size, `${kind}: ${measured}, ${slope} of ${size}`);
    }
    for (const each of [loss, again.loss, ...gradients.values(), ...again.gradients.values()])
      each.dispose();
  });

  test.serial(`${name}: three steps of training lower the loss`, async (t) => {
    using decoder = (await makeDecoder(goldenOptions(name))).train();
    using optimizer = new AdamW(decoder.namedParameters(), { learningRate: 0.01 });
    const batch = batchOf([3, 8, 5]);
    const losses: number[] = [];
    for (let step = 0; step < 4; step++) {
      const loss = tidy(() => {
        const { loss, gradients } = valueAndGrad(decoder.trainable(), () => decoder.loss(batch));
        optimizer.step(gradients);
        return loss;
      });
      losses.push((await loss.item()) as number);
      loss.dispose();
    }
    for (let step = 1; step < 4; step++) t.true(losses[step]! < losses[step - 1]!, `${losses}`);
  });
}

/** Parameters by path, without the number of the layer. */
function byKind(decoder: Decoder) {
  const kinds = new Map<string, ReturnType<Decoder["trainable"]>[number][]>();
  for (const [path, parameter] of decoder.namedParameters()) {
    const kind = path.replace(/\d+/, "*");
    kinds.set(kind, [...(kinds.get(kind) ?? []), parameter]);
  }
  return kinds;
}

function batchOf(counts: readonly number[]): TokenBatch {
  const ids = Int32Array.from(tokens(counts.reduce((a, b) => a + b, 0)));
  const targets = ids.map((id, i) => (i % 4 === 1 ? -100 : (id * 3 + 1) % vocabulary));
  return { size: counts.length, ids, counts, targets };
}

function cut(ids: readonly number[], lengths: readonly number[]): number[][] {
  let from = 0;
  return lengths.map((length) => ids.slice(from, (from += length)));
}

function endOfSequence(lengths: readonly number[], at: number): number {
  let end = 0;
  for (const length of lengths) {
    end += length;
    if (at < end) break;
  }
  return end;
}
