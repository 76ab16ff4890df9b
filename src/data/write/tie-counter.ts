import type { SortedBlock } from "../sort/sorter.js";

/** What the events' order says about users and times. */
export interface Ties {
  /** Events of each user. */
  readonly historyLengths: Int32Array;
  /** Least and greatest time; null without events. */
  readonly first: number | null;
  readonly last: number | null;
  /** Events that share user and time with another. */
  readonly tiedEvents: number;
  /** Users whose last event is one of them. */
  readonly usersWithTiedLast: number;
}

/** Counts over sorted blocks, one after the other. */
export class TieCounter {
  readonly #historyLengths: Int32Array;
  #first = Number.POSITIVE_INFINITY;
  #last = Number.NEGATIVE_INFINITY;
  #user = -1;
  #time = 0;
  /** Events of the current user at the current time. */
  #together = 0;
  #tiedEvents = 0;
  #usersWithTiedLast = 0;

  constructor(users: number) {
    this.#historyLengths = new Int32Array(users);
  }

  add({ user: users, time: times, rows }: SortedBlock): void {
    for (let i = 0; i < rows; i++) {
      const user = users[i]!;
      const time = times[i]!;
      this.#historyLengths[user]!++;
      if (time < this.#first) this.#first = time;
      if (time > this.#last) this.#last = time;
      if (user === this.#user && time === this.#time) {
        this.#together++;
        continue;
      }
      this.#endTie(user !== this.#user);
      this.#user = user;
      this.#time = time;
      this.#together = 1;
    }
  }

  result(): Ties {
    this.#endTie(true);
    this.#together = 0;
    const empty = this.#user === -1;
    return {
      historyLengths: this.#historyLengths,
      first: empty ? null : this.#first,
      last: empty ? null : this.#last,
      tiedEvents: this.#tiedEvents,
      usersWithTiedLast: this.#usersWithTiedLast,
    };
  }

  /** @param last whether no later event of the user follows */
  #endTie(last: boolean): void {
    if (this.#together < 2) return;
    this.#tiedEvents += this.#together;
    if (last) this.#usersWithTiedLast++;
  }
}
