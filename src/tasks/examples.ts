import type { Window, Windows } from "../data/index.js";
import { UsageError } from "../errors.js";
import type { Selection } from "./selection.js";
import type { Choices, Example, Examples, TaskCard } from "./task.js";

/** What examples are made of. */
interface Parts<Card extends TaskCard> {
  readonly windows: Windows;
  /** The windows that give an example; undefined for all. */
  readonly selection?: Selection | undefined;
  readonly choices?: Choices | undefined;
  readonly card: Card;
  /** The example of a window. */
  readonly read: (window: Window) => Example;
}

/** @internal */
export function examplesOf<Card extends TaskCard>(parts: Parts<Card>): Examples<Card> {
  const { windows, selection, choices, card, read } = parts;
  const count = selection?.count ?? windows.count;
  const at = (index: number): Example => {
    if (!(Number.isInteger(index) && index >= 0 && index < count)) {
      throw new UsageError(`${card.task}: example ${index} is not one of ${count}`);
    }
    return read(windows.at(selection?.at(index) ?? index));
  };
  return {
    count,
    choices,
    card,
    at,
    *[Symbol.iterator]() {
      for (let i = 0; i < count; i++) yield at(i);
    },
  };
}
