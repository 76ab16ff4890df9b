import type { PreparedData } from "../data/index.js";
import { forRowBlocks } from "../data/prepared/row-blocks.js";
import type { LongCall } from "../progress.js";

/** How an item is named in prompts and answers: its title, its id where it has none. */
export function itemText(data: PreparedData, item: number): string {
  const title = data.title(item)?.trim();
  return title === undefined || title === "" ? data.itemId(item) : title;
}

export interface ItemChoices {
  /** Different texts, in the order of their first items. */
  readonly texts: readonly string[];
  /** The text of each item: `[items]`. */
  readonly ofItem: Int32Array;
  /** Texts that several items have, and how many items those are. */
  readonly sharedTexts: number;
  readonly itemsSharing: number;
}

const blockItems = 4_096;

/**
 * Names the items of the catalogue.
 *
 * @param match `title`: items of the same text are one choice. `item`: every item is a choice of its own; the texts that
 *              several items have get the id behind.
 */
export async function itemChoices(
  data: PreparedData,
  match: "title" | "item",
  options: LongCall,
): Promise<ItemChoices> {
  const items = new Map<string, number>();
  const forItems = (work: (item: number) => void): Promise<void> =>
    forRowBlocks(
      data.items,
      "naming items",
      options,
      (from, to) => {
        for (let item = from; item < to; item++) work(item);
      },
      blockItems,
    );
  await forItems((item) => {
    const text = itemText(data, item);
    items.set(text, (items.get(text) ?? 0) + 1);
  });

  const choiceOf = new Map<string, number>();
  const ofItem = new Int32Array(data.items);
  await forItems((item) => {
    let text = itemText(data, item);
    if (match === "item" && items.get(text)! > 1) {
      // The text of another item may look like this.
      do text += ` [${data.itemId(item)}]`;
      while (items.has(text) || choiceOf.has(text));
    }
    const choice = choiceOf.get(text) ?? choiceOf.size;
    choiceOf.set(text, choice);
    ofItem[item] = choice;
  });

  const shared = [...items.values()].filter((count) => count > 1);
  const itemsSharing = shared.reduce((sum, count) => sum + count, 0);
  return { texts: [...choiceOf.keys()], ofItem, sharedTexts: shared.length, itemsSharing };
}
