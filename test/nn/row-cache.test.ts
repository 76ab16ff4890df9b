/** The cache of rows: sequences that share what they begin with, against sequences computed whole. */
import test from "ava";
import { Parameter, valueAndGrad } from "../../src/autograd/index.js";
import { UsageError } from "../../src/errors.js";
import { Decoder, type DecoderOptions } from "../../src/models/index.js";
import { RowCache, type RowGroup } from "../../src/nn/index.js";
import { attentionPart, Generator, noGrad } from "../../src/ops/index.js";
import { memory, tensor, tidy } from "../../src/tensor/index.js";

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => {
  t.is(memory().tensors, before, "tensors leaked");
});

const base: DecoderOptions = {
  ...{ vocabulary: 23, width: 16, layers: 2, heads: 4, hiddenWidth: 24, maxPositions: 32 },
  norm: { kind: "rms", eps: 1e-5 },
  positions: { base: 10_000, style: "half" },
  mlp: { kind: "gated", activation: "silu" },
};
const kinds: Record<string, DecoderOptions> = {
  rotary: base,
  "grouped heads, windows": { ...base, kvHeads: 2, windows: [3, undefined] },
  "neighbours turn together, in part": {
    ...base,
    positions: { base: 100, style: "interleaved", width: 2 },
  },
  "learned positions, packed": {
    ...{ ...base, positions: "learned", tied: true, attention: { packed: true } },
    norm: { kind: "layer", eps: 1e-5 },
  },
  "soft caps, two tables": {
    ...{ ...base, windows: [4, undefined], softCap: 3, attention: { softCap: 2 } },
    windowPositions: { base: 100, style: "half", width: 2 },
  },
};

function decoderOf(options: DecoderOptions): Decoder {
  using generator = new Generator(3);
  return new Decoder(options, { generator, std: 0.3 }).eval();
}

/** The logits after the last token of each sequence. */
async function whole(decoder: Decoder, sequences: readonly number[][]): Promise<number[][]> {
  const counts = sequences.map((ids) => ids.length);
  const logits = tidy(() =>
    noGrad(() => decoder.forward(tensor(Int32Array.from(sequences.flat())), { counts })),
  );
  const rows = (await logits.toArray()) as number[][];
  logits.dispose();
  let end = 0;
  return counts.map((count) => rows[(end += count) - 1]!);
}

for (const [name, options] of Object.entries(kinds))
  test.serial(`branches share rows: ${name}`, async (t) => {
    using decoder = decoderOf(options);
    using cache = decoder.newRowCache({ capacity: 2 });
    const add = async (
      paths: readonly number[][],
      tokens: readonly number[][],
      groups?: readonly RowGroup[],
    ) => {
      const counts = tokens.map((ids) => ids.length);
      cache.continue(
        paths.map((path) => Int32Array.from(path)),
        counts,
        groups,
      );
      const logits = tidy(() =>
        noGrad(() => decoder.forward(tensor(Int32Array.from(tokens.flat())), { counts, cache })),
      );
      const rows = (await logits.toArray()) as number[][];
      logits.dispose();
      let end = 0;
      return counts.map((count) => rows[(end += count) - 1]!);
    };
    const near = (got: readonly number[][], wanted: readonly number[][]) => {
      const difference = got.flat().map((x, i) => Math.abs(x - wanted.flat()[i]!));
      t.is(got.length, wanted.length);
      t.true(Math.max(...difference) < 2e-5, `differs by ${Math.max(...difference)}`);
    };
    const prompts = [
      [1, 2, 3, 4, 5],
      [6, 7],
    ];
    near(await add([[], []], prompts), await whole(decoder, prompts));
    t.is(cache.rows, 7);
    const [first, second] = [
      [0, 1, 2, 3, 4],
      [5, 6],
    ] as [number[], number[]];
    // Two branches of the first prompt, one of them of two tokens; one of the second.
    near(
      await add([first, second, first], [[8], [9], [10, 11]]),
      await whole(decoder, [
        [1, 2, 3, 4, 5, 8],
        [6, 7, 9],
        [1, 2, 3, 4, 5, 10, 11],
      ]),
    );
    // Neighbours that begin alike, some with more in common than is said; one that is alone.
    near(
      await add(
        [[...first, 9], [...first, 9, 10], first, second, first],
        [[17], [18], [19, 20], [21], [22]],
        [
          { sequences: 3, rows: 5 },
          { sequences: 1, rows: 2 },
          { sequences: 1, rows: 4 },
        ],
      ),
      await whole(decoder, [
        [1, 2, 3, 4, 5, 10, 17],
        [1, 2, 3, 4, 5, 10, 11, 18],
        [1, 2, 3, 4, 5, 19, 20],
        [6, 7, 21],
        [1, 2, 3, 4, 5, 22],
      ]),
    );
    // Only what is still needed, in another order.
    cache.select(Int32Array.of(9, 10, 0, 1, 2, 3, 4));
    t.is(cache.rows, 7);
    const kept = [2, 3, 4, 5, 6];
    near(
      await add([[...kept, 0, 1], kept, [...kept, 0]], [[12], [13, 14, 15], [16]]),
      await whole(decoder, [
        [1, 2, 3, 4, 5, 10, 11, 12],
        [1, 2, 3, 4, 5, 13, 14, 15],
        [1, 2, 3, 4, 5, 10, 16],
      ]),
    );
  });

test.serial("what does not fit is refused", (t) => {
  using cache = new RowCache({ layers: 2, kvHeads: 1, headWidth: 4 });
  t.is(cache.bytesPerRow, 64);
  const of = (error: string) => ({ instanceOf: UsageError, message: error });
  t.throws(
    () => cache.lengths(),
    of("RowCache: continue() must say which sequences the tokens belong to"),
  );
  t.throws(
    () => cache.continue([Int32Array.of(0)], [1]),
    of("RowCache.continue: 0 is not one of 0 rows"),
  );
  t.throws(
    () => cache.continue([new Int32Array()], [0]),
    of("RowCache.continue: counts [0] must be 1 whole numbers from 1"),
  );
  t.throws(() => cache.select(Int32Array.of(3)), of("RowCache.select: 3 is not one of 0 rows"));
  cache.continue([new Int32Array()], [2]);
  t.throws(
    () => cache.continue([Int32Array.of(0), Int32Array.of(1)], [1, 1], [{ sequences: 2, rows: 1 }]),
    of("RowCache.continue: sequences 0 to 1 must begin with the same 1 rows"),
  );
  t.throws(
    () => cache.continue([Int32Array.of(0)], [1], [{ sequences: 1, rows: 2 }]),
    of("RowCache.continue: sequences 0 to 0 must begin with the same 2 rows"),
  );
  t.throws(
    () => cache.continue([Int32Array.of(0)], [1], []),
    of("RowCache.continue: groups must be of all 1 sequences, got 0"),
  );
  using small = new RowCache({ layers: 1, kvHeads: 1, headWidth: 4, maxBytes: 100 });
  t.is(small.maxRows, 3);
  t.throws(
    () => small.continue([new Int32Array()], [4]),
    of("RowCache.continue: there would be 4 rows, more than maxRows 3"),
  );
  tidy(() => {
    const key = tensor(new Float32Array(12), { shape: [3, 1, 4] });
    t.throws(
      () => cache.append(0, { key, value: key }, { counts: [3] }),
      of("RowCache.append: counts [3] must be those of continue(), [2]"),
    );
    t.throws(
      () => cache.append(2, { key, value: key }, { counts: [2] }),
      of("RowCache: 2 is not one of 2 layers"),
    );
  });
});

test.serial("parts of attention tell what they divided by, and have no gradient", async (t) => {
  const parameter = new Parameter(tidy(() => tensor([[[[0.5, 1]]]])));
  const key = tensor([[[[1, 2]], [[3, -1]]]]);
  const { result, logSumExp } = attentionPart(parameter.value, key, key, { scale: 1 });
  const scores = [2.5, 0.5];
  const sum = scores.reduce((sum, score) => sum + Math.exp(score), 0);
  t.deepEqual(logSumExp.shape, [1, 1, 1]);
  t.true(Math.abs((await logSumExp.item()) - Math.log(sum)) < 1e-6);
  for (const each of [result, logSumExp]) each.dispose();
  t.throws(() => valueAndGrad([parameter], () => attentionPart(parameter.value, key, key).result), {
    instanceOf: UsageError,
    message: "attentionPart: has no gradient; use attention",
  });
  key.dispose();
  parameter.dispose();
});
