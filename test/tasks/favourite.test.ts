import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { PreparedData, split } from "../../src/data/index.js";
import { DataError, UsageError } from "../../src/errors.js";
import { type Example, favourite } from "../../src/tasks/index.js";
import { type FolderFeature, preparedFolder } from "../data/prepared/prepared-folder.js";
import { openSplit } from "./tasks.js";

const genres = ["a", "b", "c", "d"];

/** The favourites of rows by the definition: of the most frequent the one whose last event is the latest. */
function naiveFavourites(rows: readonly (readonly number[])[], dropped: number): number[] {
  const values = [0, 1, 2, 3].filter((value) => value !== dropped);
  const count = (value: number): number => rows.filter((row) => row.includes(value)).length;
  const most = Math.max(...values.map(count));
  if (most === 0) return [];
  const lastEvent = (value: number): number => rows.findLastIndex((row) => row.includes(value));
  return values
    .filter((value) => count(value) === most)
    .sort(
      (a, b) =>
        lastEvent(b) - lastEvent(a) ||
        rows[lastEvent(a)]!.indexOf(a) - rows[lastEvent(a)]!.indexOf(b),
    );
}

const bag = fc.shuffledSubarray([0, 1, 2, 3]);
const single = fc.integer({ min: -1, max: 3 });

for (const { kind, of } of [
  { kind: "bag", of: "event" },
  { kind: "bag", of: "item" },
  { kind: "categorical", of: "event" },
  { kind: "id", of: "item" },
] as const) {
  test(`a ${kind} of ${of}s: favourites are those of a naive count`, async (t) => {
    const row: fc.Arbitrary<number | number[]> = kind === "bag" ? bag : single;
    const items = 6;
    const histories = fc.array(fc.array(fc.nat(items - 1), { maxLength: 9 }), {
      minLength: 1,
      maxLength: 5,
    });
    const rows = fc.array(row, { minLength: 45, maxLength: 45 });
    const rest = fc.record({
      length: fc.integer({ min: 1, max: 5 }),
      dropped: fc.integer({ min: -1, max: 3 }),
      stride: fc.integer({ min: 1, max: 3 }),
    });
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(
        histories,
        rows,
        rest,
        async (histories, rows, { length, dropped, stride }) => {
          const events = histories.flat();
          const ofRow = (row: number) => rows[of === "event" ? row : events[row]!]!;
          const feature: FolderFeature = {
            name: "genres",
            kind,
            of,
            values: genres,
            rows: rows.slice(0, of === "event" ? events.length : items),
          };
          const titles = Array.from({ length: items }, (_, i) => `${i}`);
          using data = await PreparedData.open(
            await preparedFolder(t, { histories, titles, features: [feature] }),
          );
          const drop = dropped < 0 ? [] : [genres[dropped]!];
          let found: Example[];
          let windows: Awaited<ReturnType<typeof split>>["train"];
          try {
            windows = (
              await split(data, {
                windows: "padded",
                minHistory: 2,
                length,
                stride,
                validation: false,
              })
            ).train;
            found = [...(await favourite({ feature: "genres", drop }).examples(data, windows))];
          } catch (error) {
            if (!(error instanceof DataError)) throw error;
            return;
          }
          const choices = genres.filter((_, value) => value !== dropped);
          const expected = [...windows].flatMap((window) => {
            const inputs = Array.from({ length: window.target - window.start }, (_, i) =>
              ofRow(window.start + i),
            );
            const values = naiveFavourites(
              inputs.map((row) => (typeof row === "number" ? [row] : row)),
              dropped,
            );
            const texts = values.map((value) => genres[value]!);
            if (texts.length === 0) return [];
            return [
              { ...window, answer: texts[0], accepted: texts.map((text) => choices.indexOf(text)) },
            ];
          });
          compared += expected.length;
          t.deepEqual(
            found.map(({ user, start, target, answer, accepted }) => ({
              user,
              start,
              target,
              answer,
              accepted: [...accepted].sort(),
            })),
            expected.map((example) => ({
              ...example,
              answer: example.answer!,
              accepted: example.accepted.sort(),
            })),
          );
          for (const { choice, answer, accepted } of found) {
            t.is(choices[choice], answer);
            t.is(accepted[0], choice);
          }
        },
      ),
      { numRuns: 50 },
    );
    t.true(compared > 50);
  });
}

const feature = (rows: readonly (readonly number[])[]): FolderFeature => ({
  name: "genres",
  kind: "bag",
  of: "event",
  values: genres,
  rows,
});

const openFavourite = async (t: ExecutionContext, rows: readonly (readonly number[])[][]) => {
  const histories = rows.map((history) => history.map(() => 0));
  const content = { histories, features: [feature(rows.flat())] };
  return openSplit(t, content, { windows: "padded", minHistory: 2, validation: false });
};

test("the label event has no part in its favourite", async (t) => {
  const history = (label: number) => [[0], [0], [1], [label]];
  const answers = async (label: number): Promise<string[]> => {
    const { data, test } = await openFavourite(t, [history(label), [[1], [1], [2]]]);
    return [...(await favourite({ feature: "genres" }).examples(data, test))].map(
      ({ answer }) => answer,
    );
  };
  t.deepEqual(await answers(1), ["a", "b"]);
  t.deepEqual(await answers(3), ["a", "b"]);
});

test("the card has the majority, ties, counting and persistence", async (t) => {
  const { data, train, test } = await openFavourite(t, [
    [[0], [0], [1], [1], [2]], // test: a and b tied, b more recent; before: a
    [[0], [0], [0], [2]], // a, before a
    [[3], [1]], // d, and nothing before
    [[], [1]], // nothing
  ]);
  const task = favourite({ feature: "genres", visible: false, noun: "genre" });
  const { card, count } = await task.examples(data, test);
  t.is(count, 3);
  t.deepEqual(card, {
    task: "favourite",
    examples: 3,
    windowsLeftOut: 1,
    inputFeatures: [],
    toldFeatures: [],
    feature: "genres",
    dropped: [],
    visible: false,
    instruction: "What is this user's favourite genre?",
    choices: 4,
    favourites: [
      { answer: "a", examples: 1 },
      { answer: "b", examples: 1 },
      { answer: "d", examples: 1 },
    ],
    majority: { answer: "a", share: 1 / 3 },
    tied: 1,
    countingShare: (0.5 + 1 + 1) / 3,
    sameAsBeforeShare: 1 / 2,
  });
  await t.throwsAsync(task.examples(data, train), {
    instanceOf: DataError,
    message: /every favourite "genres" is "a", so there is nothing to predict/,
  });
});

test("what cannot be a favourite is refused", async (t) => {
  const { data, test } = await openFavourite(t, [[[0], [1], [0]]]);
  await t.throwsAsync(favourite({ feature: "tags" }).examples(data, test), {
    instanceOf: UsageError,
  });
  await t.throwsAsync(favourite({ feature: "genres", drop: ["e"] }).examples(data, test), {
    instanceOf: UsageError,
    message: 'favourite: drop names "e", which is no value of "genres"',
  });
  await t.throwsAsync(
    favourite({ feature: "genres", drop: ["a", "b", "c"] }).examples(data, test),
    {
      instanceOf: DataError,
      message: /every favourite "genres" is "d"/,
    },
  );
});
