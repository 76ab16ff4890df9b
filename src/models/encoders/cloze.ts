import type { Batch } from "../../data/index.js";
import { UsageError } from "../../errors.js";
import type { Generator } from "../../ops/index.js";

/** The histories of a batch without gaps, whatever its layout, on the JavaScript side. */
export interface Sequences {
  /** Where each sequence begins among the events, then their number: `[size + 1]`. */
  readonly offsets: Int32Array;
  /** What stands at each event: a position of the batch, or `positions` for the mask, or beyond it a replacement. */
  readonly rows: Int32Array;
  /** Of each event how far it is before the next one that is not known: the place of that one is 0. */
  readonly places: Int32Array;
  /** Positions of the batch, padding included. */
  readonly positions: number;
}

/** Sequences of which some events are to be guessed. */
export interface Cloze extends Sequences {
  /** The events to guess, in order. */
  readonly hidden: Int32Array;
  /** Where their items are: a position of the batch, or `positions` and that position, whose target is the item. */
  readonly answers: Int32Array;
  /** Items that stand in the place of others: row `positions + 1` and the following. */
  readonly replacements: Int32Array;
}

export interface ClozeOptions {
  /** Share of the inputs that are hidden, above 0, at most 1. The event after them always is. Default: 0.2. */
  maskProbability?: number | undefined;
  /** Share of the sequences of which nothing but that event is hidden, 0 to 1. Default: 0.1. */
  lastOnly?: number | undefined;
  /**
   * What stands in the place of a hidden input. `mask`: always the mask. `bert`: for one of ten a random item without
   * features, for one of ten what was there, else the mask. Default: `mask`.
   */
  replacement?: "mask" | "bert" | undefined;
}

/**
 * Lays the histories of a batch one after the other, each with the mask behind it if `asked`.
 *
 * @param length most inputs of a window
 * @throws UsageError when a window has more
 */
export function sequencesOf(
  { layout, extents, size, inputs }: Pick<Batch, "layout" | "extents" | "size" | "inputs">,
  { length, asked }: { length: number; asked: boolean },
): Sequences {
  const padded = layout === "padded";
  const stride = padded ? inputs.item!.shape[1]! : 0;
  const positions = padded ? size * stride : extents[size]!;
  const offsets = new Int32Array(size + 1);
  for (let i = 0; i < size; i++) {
    const known = padded ? extents[i]! : extents[i + 1]! - extents[i]!;
    if (known > length)
      throw new UsageError(
        `BERT4Rec: a window has ${known} inputs, the encoder was made for ${length} at most`,
      );
    offsets[i + 1] = offsets[i]! + known + Number(asked);
  }
  const rows = new Int32Array(offsets[size]!);
  const places = new Int32Array(offsets[size]!);
  for (let i = 0; i < size; i++) {
    const begin = offsets[i]!;
    const end = offsets[i + 1]!;
    const first = padded ? i * stride : extents[i]!;
    for (let at = begin; at < end; at++) {
      places[at] = end - at - Number(asked);
      rows[at] = places[at] === 0 ? positions : first + at - begin;
    }
  }
  return { offsets, rows, places, positions };
}

/** Hides the event after each history alone: what ranking asks. */
export function hideLast(asked: Sequences): Cloze {
  return hideWhere(asked, () => false, alwaysMask);
}

/**
 * Hides random inputs, and the event after each history.
 *
 * @param asked     {@link sequencesOf} with the mask behind each history
 * @param items     of the catalogue
 * @param generator takes one call of it, on which alone the choice depends, beside the sequences
 */
export function hideSome(
  asked: Sequences,
  items: number,
  { maskProbability = 0.2, lastOnly = 0.1, replacement = "mask" }: ClozeOptions,
  generator: Generator,
): Cloze {
  const random = uniforms(generator);
  const kept = asked.offsets.subarray(0, -1).map(() => Number(random() < lastOnly));
  const pick = (): Stand => {
    const u = random();
    return u < 0.8 ? "mask" : u < 0.9 ? Math.floor(items * random()) : "same";
  };
  return hideWhere(
    asked,
    (i) => kept[i] === 0 && random() < maskProbability,
    replacement === "bert" ? pick : alwaysMask,
  );
}

/** What stands in the place of a hidden input: the mask, an item, or the input itself. */
type Stand = "mask" | "same" | number;
const alwaysMask = (): Stand => "mask";

/**
 * @param hides whether an input of sequence `i` is hidden
 * @param pick  what stands in its place
 */
function hideWhere(
  { offsets, rows, places, positions }: Sequences,
  hides: (i: number) => boolean,
  pick: () => Stand,
): Cloze {
  const shown = rows.slice();
  const hidden: number[] = [];
  const answers: number[] = [];
  const replacements: number[] = [];
  for (let i = 0; i + 1 < offsets.length; i++)
    for (let at = offsets[i]!; at < offsets[i + 1]!; at++)
      if (places[at] === 0) {
        if (at === offsets[i]) continue; // no input, and so no target
        hidden.push(at);
        answers.push(positions + rows[at - 1]!); // the target of the last input
      } else if (hides(i)) {
        hidden.push(at);
        answers.push(rows[at]!);
        const stand = pick();
        if (stand === "mask") shown[at] = positions;
        else if (stand !== "same") shown[at] = positions + replacements.push(stand);
      }
  return {
    ...{ offsets, rows: shown, places, positions },
    hidden: Int32Array.from(hidden),
    answers: Int32Array.from(answers),
    replacements: Int32Array.from(replacements),
  };
}

/**
 * Numbers in [0, 1) for the JavaScript side, with 32 random bits: Doty-Humphrey's sfc32, begun with one call of
 * `generator`.
 */
function uniforms(generator: Generator): () => number {
  const { step } = generator.state();
  const { seed } = generator.fork().state();
  let [a, b, c, count] = [seed | 0, Math.floor(seed / 2 ** 32) | 0, step | 0, 1];
  const next = (): number => {
    const sum = (((a + b) | 0) + count) | 0;
    count = (count + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let round = 0; round < 12; round++) next();
  return next;
}
