import {
  appeals,
  followWeights,
  homeMoves,
  leniences,
  match,
  moodMoves,
  ratingChances,
  ratingRow,
  type SyntheticModel,
  tasteShare,
} from "./model.js";

/**
 * What can be known of a user from their events, exactly: the probabilities of every hidden state (lenience, home, mood)
 * given the items and ratings so far, and from them those of the next item. This is the forward algorithm of hidden
 * Markov models; no other use of the same history predicts better.
 *
 * @see Rabiner, "A tutorial on hidden Markov models", 1989, III.A
 */
export class TasteFilter {
  readonly #model: SyntheticModel;
  readonly #tastes: number;
  /** Chances of (lenience, home, mood) at the next event, given all events so far: `[3, tastes, tastes]`. */
  readonly #states: Float64Array;
  readonly #seen: Uint8Array;
  /** Share of each taste's choices that is still unseen. */
  readonly #unseen: Float64Array;
  #last: number | undefined;
  readonly #likelihoods: Float64Array;
  readonly #scratch: Float64Array;

  constructor(model: SyntheticModel) {
    const { catalogue, parameters } = model;
    this.#model = model;
    this.#tastes = parameters.genres;
    this.#states = new Float64Array(leniences.length * this.#tastes ** 2);
    this.#seen = new Uint8Array(catalogue.items);
    this.#unseen = new Float64Array(this.#tastes);
    this.#likelihoods = new Float64Array(this.#tastes);
    this.#scratch = new Float64Array(this.#tastes);
    this.reset();
  }

  /** Forgets the user. */
  reset(): void {
    const tastes = this.#tastes;
    this.#states.fill(0);
    leniences.forEach((share, lenience) => {
      for (let taste = 0; taste < tastes; taste++)
        this.#states[(lenience * tastes + taste) * tastes + taste] =
          share * this.#model.catalogue.genreShares[taste]!;
    });
    this.#seen.fill(0);
    this.#unseen.fill(1);
    this.#last = undefined;
  }

  /**
   * Takes the next event of the history.
   *
   * @param item  index of the catalogue, not seen before
   * @param level of the rating, 0 to 9 for 0.5 to 5
   */
  observe(item: number, level: number): void {
    this.#weigh(item, level);
    this.#step();
    this.#seen[item] = 1;
    for (let taste = 0; taste < this.#tastes; taste++)
      this.#unseen[taste]! -= tasteShare(this.#model, item, taste);
    this.#last = item;
  }

  /** Probability of every item to be the next: `[items]`, adding up to 1; 0 for what was seen. */
  predict(into = new Float64Array(this.#model.catalogue.items)): Float64Array {
    const { catalogue, tasteTotals, parameters } = this.#model;
    const follows = this.#following();
    const byTaste = follows.length === 0 ? 1 : 1 - parameters.followShare;
    const weights = this.moods().map(
      (chance, taste) => (byTaste * chance) / (tasteTotals[taste]! * this.#unseen[taste]!),
    );
    // Most tastes find nothing in an item: their appeal is taken for all, what others find is added.
    const base = weights.reduce((sum, weight) => sum + weight, 0) * appeals[0];
    for (let item = 0; item < catalogue.items; item++) {
      if (this.#seen[item]) {
        into[item] = 0;
        continue;
      }
      let appeal = base;
      for (let bits = catalogue.genreBits[item]!; bits !== 0; bits &= bits - 1) {
        const taste = 31 - Math.clz32(bits & -bits);
        appeal += weights[taste]! * (appeals[match(catalogue, item, taste)] - appeals[0]);
      }
      into[item] = catalogue.popularity[item]! * appeal;
    }
    for (const { item, chance } of follows) into[item]! += parameters.followShare * chance;
    return into;
  }

  /** Chance of each mood at the next event. */
  moods(): Float64Array {
    const moods = new Float64Array(this.#tastes);
    this.#states.forEach((chance, state) => (moods[state % this.#tastes]! += chance));
    return moods;
  }

  /** Unseen items on the shelf after the last one, with their chances if one of them comes next. */
  #following(): { item: number; chance: number }[] {
    if (this.#last === undefined) return [];
    const { shelves, firstGenre, place } = this.#model.catalogue;
    const from = place[this.#last]! + 1;
    const ahead = shelves[firstGenre[this.#last]!]!.subarray(from, from + followWeights.length);
    const follows = [...ahead]
      .map((item, i) => ({ item, chance: followWeights[i]! }))
      .filter(({ item }) => !this.#seen[item]);
    const total = follows.reduce((sum, { chance }) => sum + chance, 0);
    return follows.map(({ item, chance }) => ({ item, chance: chance / total }));
  }

  /** Multiplies states by the likelihood of the event, and makes them add up to 1. */
  #weigh(item: number, level: number): void {
    const tastes = this.#tastes;
    const { catalogue, parameters } = this.#model;
    const follows = this.#following();
    const followed = follows.find((follow) => follow.item === item)?.chance ?? 0;
    const share = follows.length === 0 ? 0 : parameters.followShare;
    let total = 0;
    for (let lenience = 0; lenience < leniences.length; lenience++) {
      for (let mood = 0; mood < tastes; mood++) {
        const chosen = tasteShare(this.#model, item, mood) / this.#unseen[mood]!;
        const row = ratingRow(lenience, match(catalogue, item, mood), catalogue.quality[item]!);
        this.#likelihoods[mood] =
          (share * followed + (1 - share) * chosen) * ratingChances[row]![level]!;
      }
      const first = lenience * tastes ** 2;
      for (let home = 0; home < tastes; home++)
        for (let mood = 0; mood < tastes; mood++)
          total += this.#states[first + home * tastes + mood]! *= this.#likelihoods[mood]!;
    }
    for (let i = 0; i < this.#states.length; i++) this.#states[i]! /= total;
  }

  /** Goes from the states at one event to those at the next. */
  #step(): void {
    for (let lenience = 0; lenience < leniences.length; lenience++) {
      const first = lenience * this.#tastes ** 2;
      const states = this.#states.subarray(first, first + this.#tastes ** 2);
      this.#moveHomes(states);
      this.#moveMoods(states);
    }
  }

  /** `states [homes, moods]`. */
  #moveHomes(states: Float64Array): void {
    const tastes = this.#tastes;
    const { genreShares } = this.#model.catalogue;
    const { homeChange } = this.#model.parameters;
    const before = this.#scratch;
    for (let mood = 0; mood < tastes; mood++) {
      let total = 0;
      for (let home = 0; home < tastes; home++)
        total += before[home] = states[home * tastes + mood]!;
      for (let home = 0; home < tastes; home++) {
        const neighbour = before[home === 0 ? tastes - 1 : home - 1]!;
        states[home * tastes + mood] =
          (1 - homeChange) * before[home]! +
          homeChange *
            (homeMoves.neighbour * neighbour +
              (1 - homeMoves.neighbour) * total * genreShares[home]!);
      }
    }
  }

  /** `states [homes, moods]`. */
  #moveMoods(states: Float64Array): void {
    const tastes = this.#tastes;
    const { genreShares } = this.#model.catalogue;
    const { moodChange } = this.#model.parameters;
    const before = this.#scratch;
    const anywhere = 1 - moodMoves.home - moodMoves.neighbour;
    for (let home = 0; home < tastes; home++) {
      let total = 0;
      for (let mood = 0; mood < tastes; mood++)
        total += before[mood] = states[home * tastes + mood]!;
      for (let mood = 0; mood < tastes; mood++) {
        const neighbour = before[mood === 0 ? tastes - 1 : mood - 1]!;
        const back = mood === home ? moodMoves.home * total : 0;
        states[home * tastes + mood] =
          (1 - moodChange) * before[mood]! +
          moodChange *
            (back + moodMoves.neighbour * neighbour + anywhere * total * genreShares[mood]!);
      }
    }
  }
}
