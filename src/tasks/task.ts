import type { PreparedData, Window, Windows } from "../data/index.js";
import type { LongCall } from "../progress.js";

/** What a model is asked about a user. A task turns windows into examples. */
export interface Task<Card extends TaskCard = TaskCard> {
  /** Short and stable, for reports: `next-item`. */
  readonly name: string;
  /**
   * The examples of windows. They are made one by one when they are asked for; making the list takes at most one pass
   * over the windows and a bit for each.
   *
   * @throws DataError when the data has nothing to ask about
   */
  examples(data: PreparedData, windows: Windows, options?: LongCall): Promise<Examples<Card>>;
}

/**
 * One question and its answer. What the model knows of the user are the events `start ... target - 1`; the event
 * `target` never is among them.
 */
export interface Example extends Window {
  /** What the language model is told beside the user. */
  readonly instruction: string;
  /** What it is to say. */
  readonly answer: string;
  /** The answer's place in the choices; -1 where the answer is free text. */
  readonly choice: number;
  /** The choices that are as right as the answer but for the rule of ties, the answer's first. Empty for free text. */
  readonly accepted: readonly number[];
}

/** Examples of a task over windows. */
export interface Examples<Card extends TaskCard = TaskCard> extends Iterable<Example> {
  /** How many there are: windows without an example are left out. */
  readonly count: number;
  /** What can be answered; undefined where the answer is free text. */
  readonly choices: Choices | undefined;
  /** Decisions and counts for reports: plain data. */
  readonly card: Card;
  /** @throws UsageError when the index is not one of `count` */
  at(index: number): Example;
}

/** The answers of a task, each a different text. */
export interface Choices {
  /** By choice. */
  readonly texts: readonly string[];
  /** The choice of each item, where the answers name items: `[items]`. */
  readonly ofItem: Int32Array | undefined;
}

/** What a report says of a task's examples. Plain data; each task adds its own decisions. */
export interface TaskCard {
  /** The task's name: `next-item`, `favourite`, `review`, or that of a task of your own. */
  readonly task: string;
  readonly examples: number;
  /** Windows that give no example. */
  readonly windowsLeftOut: number;
  /** Features of the input events that an encoder may see, beside the item. */
  readonly inputFeatures: readonly string[];
  /** Features of the target event that the instruction tells, beside the item. */
  readonly toldFeatures: readonly string[];
}
