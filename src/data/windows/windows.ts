import { UsageError } from "../../errors.js";

/** One example: the inputs are the rows of events `start ... target - 1`, all of one user; `target` is what comes next. */
export interface Window {
  readonly user: number;
  /** First row of the inputs. */
  readonly start: number;
  /** The row after the last input. */
  readonly target: number;
}

/** Windows of one user: `count` targets from the row `first` on, a stride apart. */
export interface WindowRun {
  readonly user: number;
  /** Row of the first target. */
  readonly first: number;
  readonly count: number;
}

/** What {@link Windows} are made of. */
export interface WindowRuns {
  /** Most inputs of a window. */
  readonly length: number;
  /** Rows of events where each user begins, then the number of events: `[users + 1]`. */
  readonly starts: Float64Array;
  /** First target row of each user; anything where the user has no window: `[users]`. */
  readonly first: Float64Array;
  /** Windows before each user, then all: `[users + 1]`. */
  readonly cumulative: Float64Array;
  /** From one target to the next. Default: 1. */
  readonly stride?: number | undefined;
}

/**
 * Windows over the events of users, by arithmetic: every user has a run of target rows, `stride` apart. Whatever the
 * number of windows, they cost two numbers a user.
 */
export class Windows implements WindowRuns {
  /** Most inputs of a window. */
  readonly length: number;
  /** Rows of events where each user begins, then the number of events: `[users + 1]`. */
  readonly starts: Float64Array;
  /** First target row of each user; anything where the user has no window: `[users]`. */
  readonly first: Float64Array;
  /** Windows before each user, then all: `[users + 1]`. */
  readonly cumulative: Float64Array;
  /** From one target to the next. */
  readonly stride: number;

  constructor({ length, starts, first, cumulative, stride = 1 }: WindowRuns) {
    this.length = length;
    this.starts = starts;
    this.first = first;
    this.cumulative = cumulative;
    this.stride = stride;
  }

  /** All windows. */
  get count(): number {
    return this.cumulative[this.users]!;
  }

  /** Users of the data, with and without windows. */
  get users(): number {
    return this.first.length;
  }

  /** Users that have a window. */
  get usersWithWindows(): number {
    let users = 0;
    for (let user = 0; user < this.users; user++) if (this.countOf(user) > 0) users++;
    return users;
  }

  /** Windows of one user. */
  countOf(user: number): number {
    return this.cumulative[user + 1]! - this.cumulative[user]!;
  }

  /** Last target row of a user that has a window. */
  last(user: number): number {
    return this.first[user]! + (this.countOf(user) - 1) * this.stride;
  }

  /** Rows of a user that are inputs or targets of its windows: from the first up to, not including, the second. */
  span(user: number): [from: number, to: number] {
    if (this.countOf(user) === 0) return [this.starts[user]!, this.starts[user]!];
    const from = Math.max(this.starts[user]!, this.first[user]! - this.length);
    return [from, this.last(user) + 1];
  }

  /** @throws UsageError when the index is not one of `count` */
  at(index: number): Window {
    if (!(Number.isInteger(index) && index >= 0 && index < this.count)) {
      throw new UsageError(`window ${index} is not one of ${this.count}`);
    }
    const user = this.#userOf(index);
    return this.#window(user, this.first[user]! + (index - this.cumulative[user]!) * this.stride);
  }

  /** The windows `from ... to - 1` in their order, by user, then by target, as what they have of each user's run. */
  *runs(from = 0, to = this.count): Generator<WindowRun> {
    const end = Math.min(to, this.count);
    let index = Math.max(0, from);
    for (let user = this.#userOf(index); index < end; user++) {
      const before = this.cumulative[user]!;
      const count = Math.min(end, this.cumulative[user + 1]!) - index;
      if (count <= 0) continue;
      yield { user, first: this.first[user]! + (index - before) * this.stride, count };
      index += count;
    }
  }

  /** The windows `from ... to - 1` in their order. */
  *range(from = 0, to = this.count): Generator<Window> {
    for (const { user, first, count } of this.runs(from, to)) {
      for (let i = 0; i < count; i++) yield this.#window(user, first + i * this.stride);
    }
  }

  /** All windows in their order. */
  [Symbol.iterator](): Generator<Window> {
    return this.range();
  }

  /** The windows of the users that `keep` says. */
  filterUsers(keep: (user: number) => boolean): Windows {
    const cumulative = new Float64Array(this.users + 1);
    for (let user = 0; user < this.users; user++) {
      const count = this.countOf(user);
      cumulative[user + 1] = cumulative[user]! + (count > 0 && keep(user) ? count : 0);
    }
    const { length, starts, first, stride } = this;
    return new Windows({ length, starts, first, cumulative, stride });
  }

  #window(user: number, target: number): Window {
    return { user, start: Math.max(this.starts[user]!, target - this.length), target };
  }

  /** The user whose run holds a window: the last whose windows begin at or before it. */
  #userOf(index: number): number {
    let low = 0;
    let high = this.users - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.cumulative[middle]! <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
