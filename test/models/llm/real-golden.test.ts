/** Trained models give what they give in transformers: scripts/goldens-llm.py. */
import test from "ava";
import { loadDecoder } from "../../../src/models/index.js";
import { memory } from "../../../src/tensor/index.js";
import { testModel } from "../../tokenizers/real-model.js";
import { difference, goldenNames, greedy, logitsOf, readGolden } from "./golden-case.js";

interface RealGolden {
  readonly ids: readonly number[];
  /** Tokens whose logits follow, after each of the ids. */
  readonly columns: readonly number[];
  readonly logits: readonly number[];
  /** The largest of all logits. */
  readonly largest: number;
  readonly greedy: readonly number[];
}

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

for (const file of goldenNames("real")) {
  const name = file.replace(/\.json$/, "");
  const golden = readGolden<RealGolden>(`real/${file}`);

  testModel(`${name} gives the logits and the words of transformers`, name, async (t, folder) => {
    const { decoder } = await loadDecoder(folder);
    using _ = decoder;
    const logits = await logitsOf(decoder, [golden.ids]);
    const { vocabulary } = decoder.options;
    const some = golden.ids.flatMap((_, row) =>
      golden.columns.map((column) => logits[row * vocabulary + column]!),
    );
    t.is(some.length, golden.logits.length);
    const error = difference([...some, golden.largest], [...golden.logits, golden.largest]);
    t.log(`logits differ by ${error.toExponential(1)} of the largest`);
    t.true(error < 1e-5, `${error}`);
    t.deepEqual(await greedy(decoder, golden.ids, golden.greedy.length), golden.greedy);
  });

  testModel(`${name} in bfloat16 says nearly the same`, name, async (t, folder) => {
    const { decoder } = await loadDecoder(folder, { dtype: "bfloat16" });
    using _ = decoder;
    t.is(decoder.embedding.weight.value.dtype, "bfloat16");
    const logits = await logitsOf(decoder, [golden.ids]);
    const { vocabulary } = decoder.options;
    const some = golden.ids.flatMap((_, row) =>
      golden.columns.map((column) => logits[row * vocabulary + column]!),
    );
    const error = difference([...some, golden.largest], [...golden.logits, golden.largest]);
    t.log(`logits differ by ${error.toExponential(1)} of the largest`);
    t.true(error < 0.05, `${error}`);
  });
}
