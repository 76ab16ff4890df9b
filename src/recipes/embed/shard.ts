import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import type { PreparedData } from "../../data/index.js";

/** A part of the users: those whose id has this place among `of`. */
export interface Shard {
  /** From 0. */
  readonly index: number;
  readonly of: number;
}

const usersAtOnce = 1 << 12;

/**
 * Where a user belongs: the first 32 bits of the SHA-256 of the id, modulo the number of shards. Whatever the data, the
 * user stays there.
 */
export const shardOf = (id: string, shards: number): number =>
  createHash("sha256").update(id).digest().readUInt32BE() % shards;

/** The users of a shard in their order, some at a time. */
export async function* usersOf(
  data: PreparedData,
  { index, of }: Shard,
  atOnce: number,
): AsyncGenerator<number[]> {
  let users: number[] = [];
  for (let user = 0; user < data.users; user++) {
    if (of === 1 || shardOf(data.userId(user), of) === index) users.push(user);
    if (users.length === atOnce) {
      yield users;
      users = [];
    }
    if (user % usersAtOnce === 0) await setImmediate();
  }
  if (users.length > 0) yield users;
}

/** `part-00003-of-00064.parquet` */
export const partName = ({ index, of }: Shard, format: string): string =>
  `part-${fiveDigits(index)}-of-${fiveDigits(of)}.${format}`;

const fiveDigits = (value: number): string => String(value).padStart(5, "0");
