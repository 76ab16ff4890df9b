import { readdir } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { fileFault, isSystemError } from "../data/files/file-fault.js";
import { UsageError } from "../errors.js";
import { looksLikeRun } from "../train/run/run-summary.js";
import { configOfRun } from "./config-of-run.js";
import { slugOf } from "./rankings.js";

export interface FindRankingOptions {
  /** Whose targets were ranked; of a run. Default: `test`. */
  readonly part?: "validation" | "test" | undefined;
  /** Whose ranking it is. Default: that of the run's encoder, or the only one in a folder. */
  readonly ranker?: string | undefined;
}

/**
 * The file of a ranking.
 *
 * @param path a run, a folder that `writeRankings` wrote, or the file itself
 * @throws UsageError when there is no such ranking, or several
 * @throws DataError when a folder cannot be read
 */
export async function findRanking(
  path: string,
  { part = "test", ranker }: FindRankingOptions = {},
): Promise<string> {
  if (extname(path) === ".json") {
    if (ranker === undefined) return path;
    throw new UsageError(`${path} is a single ranking: there is no ${ranker} to choose from it`);
  }
  const isRun = await looksLikeRun(path);
  const folder = isRun ? join(path, "eval", part) : path;
  const files = await rankingsIn(folder, isRun);
  const wanted = ranker ?? (isRun ? await encoderOf(path) : undefined);
  const fitting = files.filter((file) => wanted === undefined || slugOf(file) === slugOf(wanted));
  if (fitting.length === 1) return join(folder, `${fitting[0]}.json`);
  if (files.length === 0 && isRun)
    throw new UsageError(
      `${path} has no rankings of ${part} targets; ` +
        `"user-llm eval ${path} --part ${part} --out ${folder}" writes them`,
    );
  if (files.length === 0) throw new UsageError(`${path} is no run, and holds no rankings`);
  const there = `there are ${files.join(", ")}`;
  throw new UsageError(
    fitting.length === 0
      ? `${folder} has no ranking by ${wanted}; ${there}`
      : `${folder} has several rankings, name the ranker; ${there}`,
  );
}

/** Names without `.json`. A run that was not ranked has no folder for them. */
async function rankingsIn(folder: string, mayBeMissing: boolean): Promise<string[]> {
  try {
    const names = (await readdir(folder)).filter((name) => /^[^.].*\.json$/.test(name));
    return names.map((name) => basename(name, ".json")).sort();
  } catch (error) {
    if (mayBeMissing && isSystemError(error, "ENOENT")) return [];
    throw fileFault(error, folder, "list the rankings");
  }
}

/** What the run's encoder is called among the rankers. */
async function encoderOf(run: string): Promise<string | undefined> {
  const { encoder } = await configOfRun(run);
  const kind = (encoder as { kind?: unknown } | undefined)?.kind;
  return typeof kind === "string" ? kind : undefined;
}
