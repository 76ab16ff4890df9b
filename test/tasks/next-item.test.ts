import test from "ava";
import { UsageError } from "../../src/errors.js";
import { nextItem } from "../../src/tasks/index.js";
import { openSplit } from "./tasks.js";

const content = {
  histories: [
    [0, 1, 2, 3],
    [4, 3, 2, 1],
  ],
  titles: ["Alien", "Blue", "Blue", undefined, " "],
};
const options = { windows: "padded", validation: false } as const;

test("the answer is the title of the target, or its id", async (t) => {
  const { data, train, test } = await openSplit(t, content, options);
  const examples = await nextItem({ noun: "film" }).examples(data, test);
  t.deepEqual(examples.choices?.texts, ["Alien", "Blue", "i3", "i4"]);
  t.deepEqual([...examples.choices!.ofItem!], [0, 1, 1, 2, 3]);
  const instruction = "Which film does this user choose next?";
  t.deepEqual(
    [...examples],
    [
      { user: 0, start: 0, target: 3, instruction, answer: "i3", choice: 2, accepted: [2] },
      { user: 1, start: 4, target: 7, instruction, answer: "Blue", choice: 1, accepted: [1] },
    ],
  );
  t.deepEqual(examples.card, {
    task: "next-item",
    examples: 2,
    windowsLeftOut: 0,
    inputFeatures: [],
    toldFeatures: [],
    instruction,
    match: "title",
    choices: 4,
    sharedTexts: 1,
    itemsSharing: 2,
  });
  const training = await nextItem().examples(data, train);
  t.is(training.count, 4);
  t.deepEqual(
    [...training].map(({ answer }) => answer),
    ["Blue", "Blue", "i3", "Blue"],
  );
});

test("matching by item tells equal titles apart", async (t) => {
  // The fourth title is what the second would become.
  const titles = ["Alien", "Blue", "Blue", "Blue [i1]", undefined];
  const { data, test } = await openSplit(t, { ...content, titles }, options);
  const { choices, card } = await nextItem({ match: "item" }).examples(data, test);
  t.deepEqual(choices?.texts, ["Alien", "Blue [i1] [i1]", "Blue [i2]", "Blue [i1]", "i4"]);
  t.deepEqual([...choices!.ofItem!], [0, 1, 2, 3, 4]);
  t.like(card, { match: "item", choices: 5, sharedTexts: 1, itemsSharing: 2 });
});

test("an example that is not there is refused", async (t) => {
  const { data, test } = await openSplit(t, content, options);
  const examples = await nextItem().examples(data, test);
  for (const index of [-1, 2, 0.5]) {
    t.throws(() => examples.at(index), {
      instanceOf: UsageError,
      message: `next-item: example ${index} is not one of 2`,
    });
  }
});
