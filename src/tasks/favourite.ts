import type { Feature, PreparedData, Window, Windows } from "../data/index.js";
import { forRowBlocks } from "../data/prepared/row-blocks.js";
import { DataError, UsageError } from "../errors.js";
import type { LongCall } from "../progress.js";
import { examplesOf } from "./examples.js";
import { FavouriteCounter } from "./favourite-counter.js";
import { Selection } from "./selection.js";
import type { Task, TaskCard } from "./task.js";
import { eventValues } from "./values.js";

/** What {@link favourite} asks about. */
export interface FavouriteOptions {
  /** The feature whose most frequent value is asked for: `genres`, `category`. */
  feature: string;
  /** Values that do not count: what every item is. */
  drop?: readonly string[] | undefined;
  /** Whether an encoder may see the feature in the input events. Default: true. */
  visible?: boolean | undefined;
  /** What a value is, for the instruction. Default: the feature's name without an `s` at its end. */
  noun?: string | undefined;
  /** Default: `What is this user's favourite <noun>?` */
  instruction?: string | undefined;
}

/** What to know about a favourite besides a model's score; shares are of the examples. */
export interface FavouriteCard extends TaskCard {
  readonly feature: string;
  readonly dropped: readonly string[];
  readonly visible: boolean;
  readonly instruction: string;
  /** Values that can be answered. */
  readonly choices: number;
  /** How many examples each value is the favourite of, most first; values that are no one's favourite are left out. */
  readonly favourites: readonly { readonly answer: string; readonly examples: number }[];
  /** What answering the most frequent favourite always would score. */
  readonly majority: { readonly answer: string; readonly share: number };
  /** Examples whose favourite is tied. */
  readonly tied: number;
  /** What counting would score that breaks ties at random; with the rule of the task it scores 1. */
  readonly countingShare: number;
  /** Examples whose favourite is that of the user's window one event before, of those that have one. */
  readonly sameAsBeforeShare: number;
}

/**
 * Predicts the most frequent value of a feature in the inputs of a window, each value counted once an event. Of tied
 * values it is the one that came most recently; of those in the same event, the one that the event names first. The
 * target event has no part in it. Windows without a value give no example.
 *
 * Making the examples throws a `UsageError` when the feature is a text or not there, or `drop` names what is no value of it, and
 * a `DataError` when all favourites are the same.
 */
export function favourite({
  feature: name,
  drop = [],
  visible = true,
  noun = name.replace(/s$/, ""),
  instruction = `What is this user's favourite ${noun}?`,
}: FavouriteOptions): Task<FavouriteCard> {
  return {
    name: "favourite",
    async examples(data, windows, options = {}) {
      const feature = data.feature(name);
      if (feature.kind === "text")
        throw new UsageError(`favourite: "${name}" is a text, expected a feature of values`);
      const { texts, choiceOf, isCounted } = choicesOf(data, feature, drop);
      const values = eventValues(data, feature);
      const counter = new FavouriteCounter(values, isCounted);
      const favouritesOf = ({ start, target }: Window): number[] => {
        counter.moveTo(start, target);
        return counter.favourites().map((value) => choiceOf[value]!);
      };
      const survey = await takeSurvey(windows, texts, favouritesOf, options);
      const seen = survey.favourites;
      if (texts.length < 2 || (survey.selection.count > 1 && seen.length < 2)) {
        throw new DataError(
          `${data.folder}: every favourite "${name}" is ${JSON.stringify(seen[0]?.answer ?? texts[0] ?? "missing")}, so there is nothing to predict`,
        );
      }
      const { selection, ...counts } = survey;
      return examplesOf({
        windows,
        selection,
        choices: { texts, ofItem: undefined },
        card: {
          task: "favourite",
          examples: selection.count,
          windowsLeftOut: windows.count - selection.count,
          inputFeatures: data.features
            .map((other) => other.name)
            .filter((other) => visible || other !== name),
          toldFeatures: [],
          feature: name,
          dropped: drop,
          visible,
          instruction,
          choices: texts.length,
          ...counts,
        },
        read(window) {
          const accepted = favouritesOf(window);
          const choice = accepted[0]!;
          return { ...window, instruction, answer: texts[choice]!, choice, accepted };
        },
      });
    },
  };
}

/** The values that count, as answers. */
function choicesOf(data: PreparedData, { name, size }: Feature, drop: readonly string[]) {
  const names = Array.from(data.vocabulary(name), String);
  const unknown = drop.find((value) => !names.includes(value));
  if (unknown !== undefined) {
    throw new UsageError(
      `favourite: drop names ${JSON.stringify(unknown)}, which is no value of "${name}"`,
    );
  }
  const isCounted = new Uint8Array(size);
  const choiceOf = new Int32Array(size);
  const texts: string[] = [];
  for (const [value, text] of names.entries()) {
    if (drop.includes(text)) continue;
    isCounted[value] = 1;
    choiceOf[value] = texts.length;
    texts.push(text);
  }
  return { texts, choiceOf, isCounted };
}

/** Finds the windows that have a favourite, and what the favourites are. */
async function takeSurvey(
  windows: Windows,
  texts: readonly string[],
  favouritesOf: (window: Window) => number[],
  options: LongCall,
) {
  const selection = new Selection(windows.count);
  const counts = texts.map((answer) => ({ answer, examples: 0 }));
  let tied = 0;
  let rightAtRandom = 0;
  let sameAsBefore = 0;
  let withBefore = 0;
  let last: { user: number; target: number; favourite: number | undefined } | undefined;
  const before = ({ user, target }: Window): number | undefined => {
    if (last?.user === user && last.target === target - 1) return last.favourite;
    const start = Math.max(windows.starts[user]!, target - 1 - windows.length);
    return start < target - 1 ? favouritesOf({ user, start, target: target - 1 })[0] : undefined;
  };
  await forRowBlocks(
    windows.count,
    "counting favourites",
    options,
    (from, to) => {
      let index = from;
      for (const window of windows.range(from, to)) {
        const previous = before(window);
        const found = favouritesOf(window);
        const [favourite] = found;
        last = { user: window.user, target: window.target, favourite };
        if (favourite !== undefined) {
          selection.add(index);
          counts[favourite]!.examples++;
          if (found.length > 1) tied++;
          rightAtRandom += 1 / found.length;
          if (previous !== undefined) withBefore++;
          if (previous === favourite) sameAsBefore++;
        }
        index++;
      }
    },
    1 << 13,
  );
  const ranked = counts
    .filter(({ examples }) => examples > 0)
    .sort((a, b) => b.examples - a.examples);
  const [first] = ranked;
  const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
  return {
    selection,
    favourites: ranked,
    majority: { answer: first?.answer ?? "", share: share(first?.examples ?? 0, selection.count) },
    tied,
    countingShare: share(rightAtRandom, selection.count),
    sameAsBeforeShare: share(sameAsBefore, withBefore),
  };
}
