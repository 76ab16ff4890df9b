import test from "ava";
import { DataError, UsageError } from "../../src/errors.js";
import { review } from "../../src/tasks/index.js";
import type { FolderContent } from "../data/prepared/prepared-folder.js";
import { openSplit } from "./tasks.js";

const content: FolderContent = {
  histories: [
    [0, 1, 2],
    [2, 1, 0],
    [0, 0, 3],
  ],
  titles: ["Blue", undefined, "Green Door", "Red"],
  features: [
    {
      name: "rating",
      kind: "ordinal",
      of: "event",
      values: [1, 3.5, 5],
      rows: [0, 1, 2, 0, 0, -1, 2, 2, 1],
    },
    {
      name: "review",
      kind: "text",
      of: "event",
      rows: [
        "SECRET 0",
        "SECRET 1",
        "Good.\nVery.",
        "SECRET 3",
        "SECRET 4",
        "Bad",
        "SECRET 6",
        "SECRET 7",
        " ",
      ],
    },
    {
      name: "category",
      kind: "bag",
      of: "item",
      values: ["Cafe", "Bar"],
      rows: [[1, 0], [0], [0, 1], []],
    },
    { name: "brand", kind: "categorical", of: "item", values: ["X"], rows: [0, -1, -1, 0] },
    { name: "blurb", kind: "text", of: "item", rows: ["SECRET", "", "SECRET", ""] },
  ],
};
const options = { windows: "padded", validation: false } as const;

test("asks for the text of the target, and tells name, category and rating", async (t) => {
  const { data, test } = await openSplit(t, content, options);
  const examples = await review({ feature: "review" }).examples(data, test);
  t.deepEqual(
    [...examples],
    [
      {
        ...{ user: 0, start: 0, target: 2, choice: -1, accepted: [] },
        instruction: "Help me write a review for Green Door (Cafe) with a rating of 5.0.",
        answer: "Good.\nVery.",
      },
      {
        ...{ user: 1, start: 3, target: 5, choice: -1, accepted: [] },
        instruction: "Help me write a review for Blue (Bar).",
        answer: "Bad",
      },
    ],
  );
  t.is(examples.choices, undefined);
  t.deepEqual(examples.card, {
    task: "review",
    examples: 2,
    windowsLeftOut: 1,
    inputFeatures: ["rating", "review", "category", "brand", "blurb"],
    toldFeatures: ["category", "rating"],
    feature: "review",
  });
});

test("no instruction has a text of the data", async (t) => {
  const { data, train, test } = await openSplit(t, content, options);
  for (const windows of [train, test]) {
    for (const { instruction, answer } of await review({ feature: "review" }).examples(
      data,
      windows,
    )) {
      t.false(instruction.includes("SECRET"));
      t.false(instruction.includes(answer));
    }
  }
});

test("what is told can be chosen", async (t) => {
  const { data, train } = await openSplit(t, content, options);
  const first = async (options: { rating?: false; category?: string | false }): Promise<string> =>
    (await review({ feature: "review", ...options }).examples(data, train)).at(0).instruction;
  t.is(await first({}), "Help me write a review for i1 (Cafe) with a rating of 3.5.");
  t.is(await first({ rating: false }), "Help me write a review for i1 (Cafe).");
  t.is(await first({ category: false }), "Help me write a review for i1 with a rating of 3.5.");
  t.is(await first({ category: "brand" }), "Help me write a review for i1 with a rating of 3.5.");
});

test("what cannot be written or told is refused", async (t) => {
  const { data, test } = await openSplit(t, content, options);
  const refused = (message: RegExp) => ({ instanceOf: UsageError, message });
  const examples = (options: Parameters<typeof review>[0]) => review(options).examples(data, test);
  await t.throwsAsync(
    examples({ feature: "rating" }),
    refused(/"rating" is a ordinal of events, expected a text of events/),
  );
  await t.throwsAsync(
    examples({ feature: "blurb" }),
    refused(/"blurb" is a text of items, expected a text of events/),
  );
  await t.throwsAsync(
    examples({ feature: "review", rating: "brand" }),
    refused(/rating "brand" is a categorical, expected ordinal/),
  );
  await t.throwsAsync(
    examples({ feature: "review", category: "nothing" }),
    refused(/has no feature "nothing"/),
  );

  const silent = content.features!.map((feature) =>
    feature.name === "review" ? { ...feature, rows: feature.rows.map(() => "") } : feature,
  );
  const other = await openSplit(t, { ...content, features: silent }, options);
  await t.throwsAsync(review({ feature: "review" }).examples(other.data, other.test), {
    instanceOf: DataError,
    message: /no target event of the windows has a "review"/,
  });
});
