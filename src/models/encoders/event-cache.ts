import { UsageError } from "../../errors.js";
import { Cache, type CacheOptions } from "../../nn/index.js";
import { concat, embedding, noGrad, zeros } from "../../ops/index.js";
import { keep, tidy } from "../../tensor/memory.js";
import { type Tensor, tensor } from "../../tensor/tensor.js";

export interface EventCacheOptions extends Omit<CacheOptions, "batch"> {
  users: number;
  /** Of a user embedding. */
  width: number;
}

/**
 * What an encoder keeps of the events of some users, so that their next ones are computed alone: keys and values of its
 * blocks, and each user's last embedding.
 *
 * It owns its tensors, whatever scope it is used in: they live until `dispose()`.
 */
export class EventCache implements Disposable {
  /** Keys and values by block and user. */
  readonly keys: Cache;
  #last: Tensor;

  constructor({ users, width, ...options }: EventCacheOptions) {
    this.keys = new Cache({ ...options, batch: users });
    this.#last = keep(noGrad(() => zeros([users, width], { dtype: options.dtype ?? "float32" })));
  }

  get users(): number {
    return this.keys.batch;
  }

  /** How many events of each user it has seen. */
  get lengths(): readonly number[] {
    return this.keys.lengths();
  }

  /** Of the tensors it holds. */
  get bytes(): number {
    return this.keys.bytes + this.#last.size * (this.keys.dtype === "float64" ? 8 : 4);
  }

  /** The embedding of each user's last event: `[users, width]`; zeros where there was none. The cache's own. */
  get last(): Tensor {
    return this.#last;
  }

  /**
   * Makes user i who user `users[i]` was: to drop some, to reorder them, or to start several from one history.
   *
   * @throws UsageError when there is no such user
   */
  select(users: readonly number[]): void {
    this.keys.select(users);
    this.#replaceLast(this.#last, users);
  }

  /** @internal Takes in the embeddings of new events, so many of each user: `[events, width]`. */
  advance(embeddings: Tensor, counts: readonly number[]): void {
    let end = this.users;
    const rows = counts.map((count, user) => (count > 0 ? (end += count) - 1 : user));
    this.#replaceLast(
      tidy(() => concat([this.#last, embeddings])),
      rows,
    );
  }

  #replaceLast(table: Tensor, rows: readonly number[]): void {
    const next = keep(tidy(() => noGrad(() => embedding(table, tensor(Int32Array.from(rows))))));
    if (table !== this.#last) table.dispose();
    this.#last.dispose();
    this.#last = next;
  }

  dispose(): void {
    this.keys.dispose();
    this.#last.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * The numbers of new events, checked against the users and the events that were given.
 *
 * @throws UsageError
 */
export function requireCounts(
  owner: string,
  counts: readonly number[],
  users: number,
  events: number,
): void {
  const whole = counts.every((count) => Number.isSafeInteger(count) && count >= 0);
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (counts.length !== users || !whole || total !== events)
    throw new UsageError(
      `${owner}: counts [${counts.join(", ")}] must be ${users} whole numbers that add up to ${events} events`,
    );
}
