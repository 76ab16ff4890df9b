import { genresOf } from "./catalogue.js";
import type { History } from "./histories.js";
import type { SyntheticModel } from "./model.js";
import { RandomStream } from "./philox.js";
import { purposes } from "./purposes.js";
import { genrePhrases, otherReviews, reviewStyles } from "./review-words.js";

/** How often users write in one of the two styles that go with how they rate; otherwise in any. */
const ownStyle = 0.8;
/** How often a user opens and closes a review as they always do. */
const habit = 0.8;

/** Writes what users say of items. It depends on rating, genres and user, and on nothing else of their tastes. */
export class Reviewer {
  readonly #model: SyntheticModel;
  readonly #random: RandomStream;

  constructor(model: SyntheticModel) {
    this.#model = model;
    this.#random = new RandomStream(model.parameters.seed, purposes.reviews);
  }

  /** The reviews of a user's events, empty where there is none. */
  of({ user, length, items, levels, lenience }: History): string[] {
    const random = this.#random;
    const { reviewShare, otherScriptShare } = this.#model.parameters;
    random.restart(user);
    const other = random.unit() < otherScriptShare ? random.pick(otherReviews) : undefined;
    const style =
      reviewStyles[
        random.unit() < ownStyle
          ? 2 * lenience + random.below(2)
          : random.below(reviewStyles.length)
      ]!;
    const usual = { opening: random.pick(style.openings), closing: random.pick(style.closings) };
    return Array.from({ length }, (_, t) => {
      if (random.unit() >= reviewShare) return "";
      const mood = levels[t]! < 4 ? 0 : levels[t]! < 7 ? 1 : 2; // up to 2, up to 3.5, above
      if (other) return random.pick(other[mood]);
      const opening = random.unit() < habit ? usual.opening : random.pick(style.openings);
      const closing = random.unit() < habit ? usual.closing : random.pick(style.closings);
      const verdict = random.pick(style.verdicts[mood]);
      return `${opening} ${this.#phrase(items[t]!)} ${verdict}. ${closing}`;
    });
  }

  #phrase(item: number): string {
    const genres = genresOf(this.#model.catalogue, item);
    const genre = genres.length === 0 ? "none" : this.#random.pick(genres);
    return this.#random.pick(genrePhrases[genre]!);
  }
}
