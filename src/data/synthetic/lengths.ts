import { setImmediate } from "node:timers/promises";
import { longestHistory, type SyntheticParameters } from "./options.js";
import { RandomStream } from "./philox.js";
import { exp } from "./portable-math.js";
import { purposes } from "./purposes.js";

const usersBetweenPauses = 10_000;

/**
 * Lengths that add up to `events`: at least `shortest`, and beyond it in proportion to log-normal numbers. Their normal
 * numbers are sums of twelve uniform ones, so that no length is beyond all measure.
 */
export async function historyLengths(parameters: SyntheticParameters): Promise<Int32Array> {
  const { users, events, shortest, lengthSpread, seed } = parameters;
  const random = new RandomStream(seed, purposes.lengths);
  const sizes = new Float64Array(users);
  for (let user = 0; user < users; user++) {
    if (user % usersBetweenPauses === 0) await setImmediate();
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += random.unit();
    sizes[user] = exp(lengthSpread * sum);
  }
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const room = longestHistory(parameters) - shortest;
  const lengths = new Int32Array(users).fill(shortest);
  let wanted = 0;
  let given = 0;
  for (let user = 0; user < users; user++) {
    wanted += ((events - users * shortest) * sizes[user]!) / total;
    // What rounding and the longest history have left over goes to the next user.
    const more = Math.max(0, Math.min(room, Math.floor(wanted) - given));
    lengths[user]! += more;
    given += more;
  }
  for (let user = 0, left = events - users * shortest - given; left > 0; user++) {
    const more = Math.min(left, shortest + room - lengths[user]!);
    lengths[user]! += more;
    left -= more;
  }
  return lengths;
}
