/** Windows and favourites of real data against figures that are known of it. */
import { join } from "node:path";
import {
  movielens,
  PreparedData,
  prepare,
  type Source,
  split,
  validate,
} from "../../src/data/index.js";
import { favourite, nextItem } from "../../src/tasks/index.js";
import { freshFolder } from "../data/prepared/prepared-folder.js";
import { reconstructed1m, testReal } from "../data/real-data.js";

interface Figures {
  readonly test: number;
  readonly train: number;
  /** Share of the test that the most frequent favourite genre is, to three places. */
  readonly majority: number;
  /** Training favourites that are those of the window before. */
  readonly sameAsBefore: number;
  readonly answers: number;
}

function figures(
  name: string,
  folder: string,
  source: (folder: string) => Source | Promise<Source>,
  expected: Figures,
): void {
  testReal(`${name} has its figures`, folder, async (t, path) => {
    const out = join(await freshFolder(t), "data");
    await prepare(await source(path), { out });
    t.deepEqual(await validate(out), []);
    using data = await PreparedData.open(out);

    const { train, test } = await split(data, { validation: false });
    t.deepEqual([train.count, test.count], [expected.train, expected.test]);
    const validated = await split(data);
    t.is(validated.test.count, expected.test);
    t.is(validated.train.count + validated.validation!.count, expected.train);

    const genre = favourite({ feature: "genres" });
    const tested = await genre.examples(data, test);
    t.is(Number(tested.card.majority.share.toFixed(3)), expected.majority);
    const trained = await genre.examples(data, train);
    t.is(Number(trained.card.sameAsBeforeShare.toFixed(3)), expected.sameAsBefore);
    t.is((await nextItem().examples(data, test)).choices?.texts.length, expected.answers);
  });
}

figures("MovieLens latest-small", "ml-latest-small", movielens, {
  test: 378,
  train: 74_184,
  majority: 0.447,
  sameAsBefore: 0.945,
  answers: 9_737,
});

figures(
  "ML-1M (reconstructed), interactions",
  "ml-1m-reconstructed",
  (folder) => reconstructed1m(folder),
  { test: 4_244, train: 723_849, majority: 0.329, sameAsBefore: 0.968, answers: 3_883 },
);
