import { createHash } from "node:crypto";
import { type Batch, Loader, type PreparedData, type Split, type Windows } from "../data/index.js";
import { trainedItems } from "../data/windows/split-card.js";
import { UsageError } from "../errors.js";
import { packageVersion } from "../package-version.js";
import type { LongCall } from "../progress.js";
import { tensorsIn } from "../tensor/memory.js";
import { measure } from "./measure.js";
import type { Ranker } from "./ranker.js";
import { type RankedWindows, type RankingResult, rankingVersion } from "./ranking-result.js";
import { intervalLevel } from "./resample.js";
import { seenBefore, seenBy } from "./seen.js";

/** What {@link evaluateRanking} is told. */
export interface EvaluateRankingOptions extends LongCall {
  /** Whose targets are ranked. Default: `test`. */
  part?: "validation" | "test" | undefined;
  /** At most so many users, evenly spread: for a look while training. Default: all that have windows. */
  users?: number | undefined;
  /** Lengths of the lists that metrics look at. Default: 1, 5, 10, 20, 50. */
  ks?: readonly number[] | undefined;
  /** Histories of a batch. Default: 256. */
  batchSize?: number | undefined;
  /** How the ranker gets its batches. Default: `ragged`, which computes nothing for padding. */
  layout?: "padded" | "ragged" | undefined;
  /** Resamplings of the users for the intervals, 0 for none. Default: 1,000. */
  bootstrap?: number | undefined;
  /** Of the resampling, from 0 to 2^32 - 1. Default: 0. */
  seed?: number | undefined;
}

/** Batches whose ranks have not come yet: while one is copied back, the next is computed. */
const ahead = 2;

/**
 * Ranks the targets of the test among all items, unmasked and masked, and says how well that went.
 *
 *     recall@k, ndcg@k, mrr        means over windows, with 95 % intervals over users
 *
 * What a user had before is the whole history before the target, whatever a window holds of it. The same ranker, data,
 * split and options give the same result to the bit.
 *
 * @throws UsageError when the split is of other data, has no such part, an option is not what it should be, or the ranker
 *   orders other items than the data's or gives ranks that are none
 */
export async function evaluateRanking(
  ranker: Ranker,
  data: PreparedData,
  split: Split,
  options: EvaluateRankingOptions = {},
): Promise<RankingResult> {
  const { part = "test", users, ks: asked = [1, 5, 10, 20, 50] } = options;
  const { bootstrap = 1000, seed = 0, signal, onProgress } = options;
  const ks = [...new Set(asked)].sort((a, b) => a - b);
  requireOptions({ ks, users, bootstrap, seed });
  const windows = windowsOf(split, part, users);
  requireMatch(ranker, data, split, windows);

  const ranked = await rankWindows(ranker, data, windows, options);
  const cold = await coldTargets(data, split.train, ranked.targetRows, { signal, onProgress });
  const columns = { ...ranked, cold };
  const tested = windows.usersWithWindows;
  return {
    format: "user-llm-ranking",
    version: rankingVersion,
    ranker: ranker.name,
    protocol: {
      task: "next-item",
      part,
      sampledUsers: users ?? null,
      candidates: data.items,
      seen: "history",
      ties: "pessimistic",
      ks,
      bootstrap:
        bootstrap > 0 ? { over: "users", resamples: bootstrap, level: intervalLevel, seed } : null,
      windows: windowsFingerprint(columns),
      split: split.card,
      versions: { userLlm: packageVersion(), node: process.versions.node },
    },
    counts: {
      windows: windows.count,
      users: tested,
      usersNotTested: data.users - tested,
      coldTargets: countOnes(cold),
      repeatedTargets: countOnes(ranked.repeated),
    },
    metrics: await measure(columns, { ks, resamples: bootstrap, seed, signal, onProgress }),
    windows: columns,
  };
}

/** SHA-256 of whose targets were ranked, and which. */
export function windowsFingerprint({
  users,
  targetRows,
}: Pick<RankedWindows, "users" | "targetRows">): string {
  const hash = createHash("sha256");
  return hash.update(Float64Array.from(users)).update(Float64Array.from(targetRows)).digest("hex");
}

async function rankWindows(
  ranker: Ranker,
  data: PreparedData,
  windows: Windows,
  { batchSize = 256, layout = "ragged", signal, onProgress }: EvaluateRankingOptions,
): Promise<Omit<RankedWindows, "cold">> {
  const { count } = windows;
  const items = data.column("item");
  const users = new Int32Array(count);
  const targetRows = new Float64Array(count);
  const unmasked = new Int32Array(count);
  const masked = new Int32Array(count);
  const repeated = new Uint8Array(count);

  const rankBatch = async (batch: Batch, from: number): Promise<void> => {
    const targets = Int32Array.from(batch.targetRows, (row) => items[row]!);
    const seen = seenBefore(items, windows.starts, batch.users, batch.targetRows);
    users.set(batch.users, from);
    targetRows.set(batch.targetRows, from);
    for (let i = 0; i < batch.size; i++)
      repeated[from + i] = seenBy(seen, i).includes(targets[i]!) ? 1 : 0;
    const ranks = await ranker.rank(batch, targets, seen);
    requireRanks(ranker, ranks, batch.size);
    unmasked.set(ranks.unmasked, from);
    masked.set(ranks.masked, from);
    const done = from + batch.size;
    onProgress?.({ task: `ranking with ${ranker.name}`, done, total: count, unit: "rows" });
  };

  const { features } = ranker;
  const loader = new Loader(data, windows, { batchSize, layout, features, targets: false, signal });
  const pending: Promise<void>[] = [];
  let from = 0;
  try {
    for await (const batch of loader) {
      const tensors = [...tensorsIn(batch.keep())];
      const ranks = rankBatch(batch, from).finally(() => {
        for (const tensor of tensors) tensor.dispose();
      });
      ranks.catch(() => undefined); // it is awaited later
      pending.push(ranks);
      from += batch.size;
      if (pending.length > ahead) await pending.shift();
    }
    await Promise.all(pending);
  } finally {
    await Promise.allSettled(pending);
  }
  return {
    users: Array.from(users),
    targetRows: Array.from(targetRows),
    unmasked: Array.from(unmasked),
    masked: Array.from(masked),
    repeated: Array.from(repeated),
  };
}

async function coldTargets(
  data: PreparedData,
  train: Windows,
  targetRows: readonly number[],
  options: LongCall,
): Promise<number[]> {
  const items = data.column("item");
  const trained = await trainedItems(data, train, options);
  return targetRows.map((row) => (trained[items[row]!] === 1 ? 0 : 1));
}

function windowsOf(split: Split, part: "validation" | "test", wanted?: number): Windows {
  if (part !== "validation" && part !== "test")
    throw new UsageError(
      `evaluateRanking: part must be "validation" or "test", got "${part as string}"`,
    );
  const windows = split[part];
  if (!windows || windows.count === 0)
    throw new UsageError(`evaluateRanking: the split has no ${part} windows`);
  if (wanted === undefined || wanted >= windows.usersWithWindows) return windows;
  const all: number[] = [];
  for (let user = 0; user < windows.users; user++) if (windows.countOf(user) > 0) all.push(user);
  const chosen = new Set(
    Array.from({ length: wanted }, (_, i) => all[Math.floor((i * all.length) / wanted)]),
  );
  return windows.filterUsers((user) => chosen.has(user));
}

function requireOptions({
  ks,
  users,
  bootstrap,
  seed,
}: {
  ks: readonly number[];
  users: number | undefined;
  bootstrap: number;
  seed: number;
}): void {
  requireWhole("bootstrap", bootstrap, 0, 1_000_000);
  requireWhole("seed", seed, 0, 2 ** 32 - 1);
  if (users !== undefined) requireWhole("users", users, 1, 2 ** 31);
  if (ks.length === 0) throw new UsageError("evaluateRanking: ks must not be empty");
  for (const k of ks) requireWhole("ks", k, 1, 999_999_999);
}

function requireWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new UsageError(
    `evaluateRanking: ${name} must be a whole number from ${least} to ${most}, got ${value}`,
  );
}

function requireMatch(ranker: Ranker, data: PreparedData, { card }: Split, windows: Windows): void {
  if (card.data.fingerprint !== data.fingerprint || windows.users !== data.users)
    throw new UsageError(`evaluateRanking: the split is of other data than ${data.folder}`);
  if (ranker.items !== data.items)
    throw new UsageError(
      `evaluateRanking: ${ranker.name} orders ${ranker.items} items, ${data.folder} has ${data.items}`,
    );
}

function requireRanks(
  { name, items }: Ranker,
  { unmasked, masked }: { unmasked: Int32Array; masked: Int32Array },
  size: number,
): void {
  if (unmasked.length !== size || masked.length !== size)
    throw new UsageError(
      `${name}: expected ${size} ranks, got ${unmasked.length} unmasked and ${masked.length} masked`,
    );
  for (let i = 0; i < size; i++) {
    const [all, rest] = [unmasked[i]!, masked[i]!];
    if (1 <= rest && rest <= all && all <= items) continue;
    throw new UsageError(
      `${name}: ranks are from 1 to ${items}, a masked one no greater than the unmasked; got ${all} and masked ${rest}`,
    );
  }
}

const countOnes = (flags: readonly number[]): number => flags.reduce((sum, flag) => sum + flag, 0);
