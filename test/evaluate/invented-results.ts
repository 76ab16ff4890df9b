/** Results of rankings that never were, but could have been: all of it hangs together. */
import type { SplitCard } from "../../src/data/index.js";
import { windowsFingerprint } from "../../src/evaluate/evaluate-ranking.js";
import type { RankedWindows, RankingResult } from "../../src/evaluate/index.js";
import { measure } from "../../src/evaluate/measure.js";
import { Random } from "../../src/evaluate/random.js";

const part = { windows: 1, users: 1, from: null, to: null, tiedTargets: 0, coldTargets: 0 };

export const inventedCard: SplitCard = {
  fingerprint: "5".repeat(64),
  data: { fingerprint: "d".repeat(64), title: "Invented", events: 9_999, users: 80, items: 100 },
  decisions: {
    windows: "padded",
    length: 50,
    minHistory: 3,
    strategy: "leave-last-out",
    validation: true,
    stride: 1,
    temporal: undefined,
    disjointUsers: undefined,
  },
  train: part,
  validation: part,
  test: part,
  usersNotTested: 0,
  periodsOverlap: true,
};

/** Random ranks of 80 users with one to three windows each, in a catalogue of 100 items. */
export function inventedWindows(seed: number, best = 100): RankedWindows {
  const random = new Random(seed);
  const layout = new Random(99);
  const users: number[] = [];
  for (let user = 0; user < 80; user++) for (let i = 0; i <= layout.below(3); i++) users.push(user);
  const unmasked = users.map(() => 1 + random.below(best));
  return {
    users,
    targetRows: users.map((_, i) => 20 * i + 5),
    unmasked,
    masked: unmasked.map((rank) => 1 + random.below(rank)),
    cold: users.map((_, i) => Number(i % 11 === 3)),
    repeated: users.map((_, i) => Number(i % 7 === 2)),
  };
}

export async function inventedResult(
  windows: RankedWindows,
  { name = "invented", resamples = 20 } = {},
): Promise<RankingResult> {
  const ks = [1, 10];
  const ones = (flags: readonly number[]): number => flags.filter((flag) => flag === 1).length;
  const users = new Set(windows.users).size;
  return {
    format: "user-llm-ranking",
    version: 1,
    ranker: name,
    protocol: {
      task: "next-item",
      part: "test",
      sampledUsers: null,
      candidates: 100,
      seen: "history",
      ties: "pessimistic",
      ks,
      bootstrap: resamples === 0 ? null : { over: "users", resamples, level: 0.95, seed: 0 },
      windows: windowsFingerprint(windows),
      split: inventedCard,
      versions: { userLlm: "0.1.0", node: "20.19.0" },
    },
    counts: {
      windows: windows.users.length,
      users,
      usersNotTested: inventedCard.data.users - users,
      coldTargets: ones(windows.cold),
      repeatedTargets: ones(windows.repeated),
    },
    metrics: await measure(windows, { ks, resamples, seed: 0 }),
    windows,
  };
}
