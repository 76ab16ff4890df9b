import { existsSync } from "node:fs";
import type { DataConfig } from "../data/config.js";
import type { LongCall } from "../progress.js";
import { sourceOf } from "./source.js";

/**
 * Prepares the data where its folder is not there, and the configuration says from what.
 *
 * @param memoryLimit bytes that sorting may take
 * @returns whether it was prepared now
 * @throws ConfigError when the source's options are missing or do not go together
 * @throws DataError when the raw data cannot be read
 */
export async function ensurePrepared(
  config: DataConfig,
  memoryLimit: number | undefined,
  longCall: LongCall,
): Promise<boolean> {
  const { out, source, onError, sorter } = config;
  if (out === undefined || source === undefined || existsSync(out)) return false;
  const { prepare } = await import("../data/prepare.js");
  await prepare(await sourceOf(config), { out, onError, sorter, memoryLimit, ...longCall });
  return true;
}
