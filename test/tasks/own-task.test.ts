/** A task of one's own, written with nothing but what the package exports. */
import test from "ava";
import { UsageError } from "../../src/errors.js";
import { type Example, itemText, type Task, type TaskCard } from "../../src/tasks/index.js";
import { openSplit } from "./tasks.js";

interface SeenBeforeCard extends TaskCard {
  readonly repeats: number;
}

/** Whether the target is an item of the window's inputs. */
const seenBefore: Task<SeenBeforeCard> = {
  name: "seen-before",
  async examples(data, windows) {
    const items = data.column("item");
    const at = (index: number): Example => {
      const window = windows.at(index);
      const { start, target } = window;
      const item = items[target]!;
      const choice = items.subarray(start, target).includes(item) ? 1 : 0;
      const instruction = `Has this user had ${itemText(data, item)} before?`;
      return { ...window, instruction, answer: texts[choice]!, choice, accepted: [choice] };
    };
    const texts = ["no", "yes"];
    const { count } = windows;
    const all = Array.from({ length: count }, (_, index) => at(index));
    return {
      count,
      choices: { texts, ofItem: undefined },
      card: {
        task: "seen-before",
        examples: count,
        windowsLeftOut: 0,
        inputFeatures: [],
        toldFeatures: [],
        repeats: all.filter(({ choice }) => choice === 1).length,
      },
      at,
      [Symbol.iterator]: () => all.values(),
    };
  },
};

test("a task of one's own gives examples like any other", async (t) => {
  const content = {
    histories: [
      [0, 1, 0],
      [0, 1, 2],
    ],
    titles: ["Blue", "Red", "Green"],
  };
  const { data, test } = await openSplit(t, content, { windows: "padded", validation: false });
  const tasks: Task[] = [seenBefore];
  const examples = await tasks[0]!.examples(data, test);
  t.deepEqual(
    [...examples].map(({ instruction, answer }) => `${instruction} ${answer}`),
    ["Has this user had Blue before? yes", "Has this user had Green before? no"],
  );
  t.like(examples.card, { task: "seen-before", repeats: 1 });
  t.throws(() => examples.at(2), { instanceOf: UsageError });
});
