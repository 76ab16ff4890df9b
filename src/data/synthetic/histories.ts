import {
  followWeights,
  homeMoves,
  leniences,
  match,
  moodMoves,
  neighbour,
  ratingChances,
  ratingRow,
  type SyntheticModel,
} from "./model.js";
import { RandomStream } from "./philox.js";
import { purposes } from "./purposes.js";

const firstSecond = 789_652_800; // 1995-01-09
const secondsOfStarts = 18 * 365 * 86_400;
/** How often a session ends after an event. */
const sessionEnds = 1 / 12;
const longestPause = 90; // seconds between events of a session, at most

/** One user's events, in the order in which they happened. Used again for the next user: keep nothing of it. */
export interface History {
  user: number;
  length: number;
  /** Indices of the catalogue; no item comes twice. */
  readonly items: Int32Array;
  /** 0 to 9 for 0.5 to 5. */
  readonly levels: Uint8Array;
  /** Since 1970; never falling. */
  readonly seconds: Float64Array;
  /** Hidden: what the user was after at each event. */
  readonly moods: Uint8Array;
  readonly homes: Uint8Array;
  /** Hidden: 0 rates low, 1 evenly, 2 high. */
  lenience: number;
}

/** Makes the history of any user, in any order: users have nothing to do with each other. */
export class Histories {
  readonly #model: SyntheticModel;
  readonly #random: RandomStream;
  readonly #clock: RandomStream;
  /** The last history that has each item, by number. */
  readonly #seenIn: Uint32Array;
  #number = 0;
  readonly #history: History;

  constructor(model: SyntheticModel) {
    const { parameters, catalogue } = model;
    this.#model = model;
    this.#random = new RandomStream(parameters.seed, purposes.tastes);
    this.#clock = new RandomStream(parameters.seed, purposes.times);
    this.#seenIn = new Uint32Array(catalogue.items);
    const longest = model.lengths.reduce((most, length) => Math.max(most, length), 0);
    this.#history = {
      user: 0,
      length: 0,
      items: new Int32Array(longest),
      levels: new Uint8Array(longest),
      seconds: new Float64Array(longest),
      moods: new Uint8Array(longest),
      homes: new Uint8Array(longest),
      lenience: 0,
    };
  }

  of(user: number): History {
    const history = this.#history;
    history.user = user;
    history.length = this.#model.lengths[user]!;
    this.#live(history);
    this.#setTimes(history);
    return history;
  }

  #live(history: History): void {
    const random = this.#random;
    const { catalogue, homeTable } = this.#model;
    const { genres, moodChange, homeChange } = this.#model.parameters;
    random.restart(history.user);
    this.#number++;
    history.lenience = random.draw(leniences);
    let home = homeTable.draw(random);
    let mood = home;
    for (let t = 0; t < history.length; t++) {
      if (t > 0 && random.unit() < homeChange)
        home =
          random.unit() < homeMoves.neighbour ? neighbour(home, genres) : homeTable.draw(random);
      if (t > 0 && random.unit() < moodChange) {
        const way = random.unit();
        if (way < moodMoves.home) mood = home;
        else if (way < moodMoves.home + moodMoves.neighbour) mood = neighbour(mood, genres);
        else mood = homeTable.draw(random);
      }
      const item = this.#choose(history, t, mood);
      this.#seenIn[item] = this.#number;
      history.items[t] = item;
      history.homes[t] = home;
      history.moods[t] = mood;
      const row = ratingRow(
        history.lenience,
        match(catalogue, item, mood),
        catalogue.quality[item]!,
      );
      history.levels[t] = random.draw(ratingChances[row]!);
    }
  }

  /** An unseen item: from the shelf after the last one, or by taste. */
  #choose({ items }: History, t: number, mood: number): number {
    const random = this.#random;
    if (t > 0 && random.unit() < this.#model.parameters.followShare) {
      const next = this.#follow(items[t - 1]!);
      if (next !== undefined) return next;
    }
    for (;;) {
      const item = this.#model.tasteTables[mood]!.draw(random);
      if (!this.#seen(item)) return item;
    }
  }

  #seen(item: number): boolean {
    return this.#seenIn[item] === this.#number;
  }

  #follow(last: number): number | undefined {
    const { shelves, firstGenre, place } = this.#model.catalogue;
    const shelf = shelves[firstGenre[last]!]!;
    const from = place[last]! + 1;
    const count = Math.min(followWeights.length, shelf.length - from);
    let total = 0;
    for (let i = 0; i < count; i++) if (!this.#seen(shelf[from + i]!)) total += followWeights[i]!;
    if (total === 0) return undefined;
    let rest = this.#random.unit() * total;
    let chosen = from;
    for (let i = 0; i < count; i++) {
      if (this.#seen(shelf[from + i]!)) continue;
      chosen = from + i;
      rest -= followWeights[i]!;
      if (rest < 0) break;
    }
    return shelf[chosen];
  }

  /** Sessions of events some seconds apart, hours to weeks from each other. They tell nothing of tastes. */
  #setTimes({ user, length, seconds }: History): void {
    const clock = this.#clock;
    const { tiedShare } = this.#model.parameters;
    clock.restart(user);
    let now = firstSecond + Math.floor(clock.unit() * secondsOfStarts);
    for (let t = 0; t < length; t++) {
      if (t > 0 && clock.unit() >= tiedShare) {
        const pause = 1 << (12 + clock.below(9)); // 1 hour to 12 days, doubled at most
        now +=
          clock.unit() < sessionEnds ? pause + clock.below(pause) : 1 + clock.below(longestPause);
      }
      seconds[t] = now;
    }
  }
}
