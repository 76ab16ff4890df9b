/** Every family equals transformers: logits, loss and greedy continuation of tiny random checkpoints. */
import test from "ava";
import { loadDecoder } from "../../../src/models/index.js";
import { cast, noGrad } from "../../../src/ops/index.js";
import { memory, tensor, tidy } from "../../../src/tensor/index.js";
import {
  difference,
  type GoldenCase,
  goldenCases,
  goldenFolder,
  greedy,
  logitsOf,
  readGolden,
  take,
} from "./golden-case.js";

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

/** Both sides compute in float32; what is seen is below 2e-6. */
const tolerance = 1e-5;

for (const name of goldenCases) {
  const golden = readGolden<GoldenCase>(`${name}/golden.json`);
  const { sequences } = golden;

  test.serial(
    `${name}: logits, loss and the greedy continuation are those of transformers`,
    async (t) => {
      const { decoder } = await loadDecoder(goldenFolder(name));
      using _ = decoder;
      const error = difference(await logitsOf(decoder, sequences), golden.logits);
      t.log(`logits differ by ${error.toExponential(1)} of the largest`);
      t.true(error < tolerance, `logits: ${error}`);

      const loss = tidy(() =>
        noGrad(() => {
          const batch = {
            size: sequences.length,
            ids: Int32Array.from(sequences.flat()),
            counts: sequences.map(({ length }) => length),
            targets: Int32Array.from(golden.targets),
          };
          const { loss, count } = decoder.loss(batch);
          t.is(count, golden.targets.filter((target) => target !== -100).length);
          return loss;
        }),
      );
      t.true(difference(await take(loss), [golden.loss]) < tolerance, "loss");
      t.deepEqual(await greedy(decoder, sequences.at(-1)!, golden.greedy.length), golden.greedy);
    },
  );

  test.serial(`${name}: a sequence alone, and token by token, gives the same logits`, async (t) => {
    const { decoder } = await loadDecoder(goldenFolder(name));
    using _ = decoder;
    const whole = await logitsOf(decoder, sequences);
    const alone = await Promise.all(sequences.map((each) => logitsOf(decoder, [each])));
    t.true(
      difference(
        alone.flatMap((each) => [...each]),
        whole,
      ) < tolerance,
      "alone",
    );

    const last = sequences.at(-1)!;
    using cache = decoder.newCache({ batch: 2 });
    const steps: number[] = [];
    // Pieces of uneven length, and a second sequence that always lags behind.
    for (const [from, to] of [
      [0, 3],
      [3, 4],
      [4, 4],
      [4, 9],
      [9, 11],
    ] as const) {
      const piece = last.slice(from, to);
      const other = last.slice(Math.floor(from / 2), Math.floor(to / 2));
      const ids = Int32Array.from([...piece, ...other]);
      const counts = [piece.length, other.length];
      const logits = await take(
        tidy(() => noGrad(() => decoder.forward(tensor(ids), { counts, cache }))),
      );
      steps.push(...logits.slice(0, piece.length * decoder.options.vocabulary));
    }
    t.deepEqual(cache.lengths(), [11, 5]);
    t.true(difference(steps, alone.at(-1)!) < tolerance, "step by step");
  });

  if (!name.endsWith("bfloat16"))
    test.serial(`${name}: matrices kept in bfloat16 give close logits`, async (t) => {
      const { decoder } = await loadDecoder(goldenFolder(name), { dtype: "bfloat16" });
      using _ = decoder;
      t.is(decoder.embedding.weight.value.dtype, "bfloat16");
      const error = difference(await logitsOf(decoder, sequences), golden.logits);
      // What rounding the weights alone does; products then round what comes in by as much.
      const rounded = difference(await logitsOfRounded(name, sequences), golden.logits);
      t.log(`${error.toExponential(1)}, with rounded weights ${rounded.toExponential(1)}`);
      t.true(error > tolerance && error < 4 * rounded, `${error}, ${rounded}`);
    });
}

/** Logits of weights rounded to bfloat16, computed in float32. */
async function logitsOfRounded(
  name: string,
  sequences: GoldenCase["sequences"],
): Promise<Float32Array> {
  const { decoder } = await loadDecoder(goldenFolder(name));
  using _ = decoder;
  for (const [path, parameter] of decoder.namedParameters())
    if (parameter.shape.length === 2 && path.endsWith("weight"))
      parameter.replace(
        tidy(() => noGrad(() => cast(cast(parameter.value, "bfloat16"), "float32"))),
      );
  return await logitsOf(decoder, sequences);
}
