/** Which split a user is of, where the users of the splits are apart. */
export type UserRole = "train" | "validation" | "test";

/**
 * Deals users to training, validation and test at random: the users with the least hashes of (seed, user) are tested,
 * the next validate. A larger share keeps the users of a smaller one.
 *
 * @param users how many there are
 * @returns the role of each user
 */
export function splitUsers(
  users: number,
  {
    testShare,
    validationShare,
    seed,
  }: { testShare: number; validationShare: number; seed: number },
): (user: number) => UserRole {
  const keys = Float64Array.from({ length: users }, (_, user) => keyOf(seed, user)).sort();
  const limit = (share: number): number =>
    keys[Math.floor(share * users)] ?? Number.POSITIVE_INFINITY;
  const test = limit(testShare);
  const validation = limit(testShare + validationShare);
  return (user) => {
    const key = keyOf(seed, user);
    return key < test ? "test" : key < validation ? "validation" : "train";
  };
}

/** 53 bits of which no two users share all: 21 of a hash, then the user. */
function keyOf(seed: number, user: number): number {
  return (mixed(mixed(seed) ^ user) >>> 11) * 2 ** 32 + user;
}

/** The finalizer of MurmurHash3: a bijection of 32 bits. */
function mixed(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
