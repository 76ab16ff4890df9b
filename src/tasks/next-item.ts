import { examplesOf } from "./examples.js";
import { itemChoices } from "./item-texts.js";
import type { Task, TaskCard } from "./task.js";

/** What {@link nextItem} asks, and what is right. */
export interface NextItemOptions {
  /**
   * `title`: an answer is right when its text is the target's, whichever item it names. `item`: texts that several items
   * have are told apart by the items' ids. Default: `title`, as in the paper.
   */
  match?: "title" | "item" | undefined;
  /** What an item is, for the instruction. Default: `item`. */
  noun?: string | undefined;
  /** Default: `Which <noun> does this user choose next?` */
  instruction?: string | undefined;
}

/** The decisions and counts of {@link nextItem}. */
export interface NextItemCard extends TaskCard {
  readonly instruction: string;
  readonly match: "title" | "item";
  /** Different answers. */
  readonly choices: number;
  /** Texts that several items have, and how many items those are. */
  readonly sharedTexts: number;
  readonly itemsSharing: number;
}

/** Predicts what the user chooses next: the answer is the title of the window's target, or its id where it has none. */
export function nextItem(options: NextItemOptions = {}): Task<NextItemCard> {
  const { match = "title", noun = "item" } = options;
  const { instruction = `Which ${noun} does this user choose next?` } = options;
  return {
    name: "next-item",
    async examples(data, windows, longCall = {}) {
      const { texts, ofItem, sharedTexts, itemsSharing } = await itemChoices(data, match, longCall);
      const items = data.column("item");
      return examplesOf({
        windows,
        choices: { texts, ofItem },
        card: {
          task: "next-item",
          examples: windows.count,
          windowsLeftOut: 0,
          inputFeatures: data.features.map(({ name }) => name),
          toldFeatures: [],
          instruction,
          match,
          choices: texts.length,
          sharedTexts,
          itemsSharing,
        },
        read(window) {
          const choice = ofItem[items[window.target]!]!;
          return { ...window, instruction, answer: texts[choice]!, choice, accepted: [choice] };
        },
      });
    },
  };
}
