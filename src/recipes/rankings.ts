/** Rankings of a run: of its encoder and of the baselines, on the same windows. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  coOccurrence,
  encoderRanker,
  evaluateRanking,
  mostPopular,
  type Ranker,
  type RankingResult,
  writeRanking,
} from "../evaluate/index.js";
import type { LongCall } from "../progress.js";
import type { Config } from "./config.js";
import type { StageOne } from "./stage-one.js";

type Part = "validation" | "test";

/** The encoder's result first, then those of the baselines that the configuration names. */
export async function rankAll(
  { encoder: described, evaluate, seed }: Pick<Config, "encoder" | "evaluate" | "seed">,
  { data, split, encoder }: Pick<StageOne, "data" | "split" | "encoder">,
  part: Part,
  longCall: LongCall,
): Promise<RankingResult[]> {
  const { ks, bootstrap, batchSize, baselines } = evaluate;
  const options = { part, ks, bootstrap, batchSize, seed, ...longCall };
  const results: RankingResult[] = [];
  {
    const name = described.kind === "custom" ? described.name : described.kind;
    using ranker = encoderRanker(encoder, { name });
    results.push(await evaluateRanking(ranker, data, split, options));
  }
  const make: Record<(typeof baselines)[number], () => Promise<Ranker>> = {
    "most-popular": () => mostPopular(data, split.train, longCall),
    "co-occurrence": () => coOccurrence(data, split.train, longCall),
  };
  for (const name of baselines)
    results.push(await evaluateRanking(await make[name](), data, split, options));
  return results;
}

/** Writes results into a folder, a file for each ranker: `sasrec.json`, `most-popular.json`. */
export async function writeRankings(
  folder: string,
  results: readonly RankingResult[],
): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const result of results)
    await writeRanking(join(folder, `${slugOf(result.ranker)}.json`), result);
}

/** A name as part of a file name: `most popular` becomes `most-popular`. */
export function slugOf(name: string): string {
  const words = name.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu);
  return words?.join("-") ?? "unnamed";
}
