import { readFile, stat } from "node:fs/promises";
import { fileFault } from "../data/files/file-fault.js";
import { Place } from "../data/files/json-place.js";
import { replaceFile } from "../data/files/replace-file.js";
import { DataError } from "../errors.js";
import { windowsFingerprint } from "./evaluate-ranking.js";
import { measure } from "./measure.js";
import { metricNames } from "./metrics.js";
import {
  type Estimate,
  type Measurement,
  type RankedWindows,
  type RankingCounts,
  type RankingProtocol,
  type RankingResult,
  rankingVersion,
} from "./ranking-result.js";
import { readSplitCard } from "./read-split-card.js";

/** A larger file would not fit into one text. */
const largestFile = 2 ** 29 - 1; // bytes

/** Metrics that were computed from the same ranks differ by less. */
const rounding = 1e-9;

/**
 * Writes a result as JSON, in place of an older one: a reader sees the one or the other, whole.
 *
 * @throws DataError when the file cannot be written
 */
export async function writeRanking(path: string, result: RankingResult): Promise<void> {
  const { windows, ...rest } = result;
  // What people look at is laid out; columns are a line each.
  const head = JSON.stringify(rest, null, 2).replace(/\n}$/, "");
  const columns = Object.entries(windows).map(
    ([name, column]) => `    "${name}": ${JSON.stringify(column)}`,
  );
  const text = `${head},\n  "windows": {\n${columns.join(",\n")}\n  }\n}\n`;
  await replaceFile(path, (append) => append(text));
}

/**
 * Reads what {@link writeRanking} wrote. The metrics, counts and fingerprint must be those of the ranks in the file.
 *
 * @throws DataError when the file is no such result, or contradicts itself
 */
export async function readRanking(path: string): Promise<RankingResult> {
  const top = Place.parse(path, await textOf(path));
  const format = top.get("format").oneOf(["user-llm-ranking"]);
  const version = top.get("version").count();
  if (version !== rankingVersion)
    throw new DataError(
      `${path}: a ranking of version ${version}; this user-llm reads version ${rankingVersion}`,
    );
  const protocol = protocolOf(top.get("protocol"));
  const windows = windowsOf(top.get("windows"), protocol);
  const metrics = top.get("metrics");
  const result: RankingResult = {
    format,
    version: rankingVersion,
    ranker: top.get("ranker").text(),
    protocol,
    counts: countsOf(top.get("counts")),
    metrics: {
      all: measurementOf(metrics.get("all"), protocol),
      withoutCold: metrics.get("withoutCold").orNull((place) => measurementOf(place, protocol)),
    },
    windows,
  };
  await checkTogether(path, result);
  return result;
}

async function textOf(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > largestFile)
      throw new DataError(`${path}: ${size} bytes are too many for a ranking`);
    return await readFile(path, "utf8");
  } catch (error) {
    throw fileFault(error, path, "read");
  }
}

function protocolOf(place: Place): RankingProtocol {
  const ks = place.get("ks").wholeNumbers(1, 999_999_999);
  if (ks.length === 0 || ks.some((k, i) => i > 0 && k <= ks[i - 1]!))
    place.get("ks").fail("rising numbers");
  const versions = place.get("versions");
  return {
    task: place.get("task").oneOf(["next-item"]),
    part: place.get("part").oneOf(["validation", "test"]),
    sampledUsers: place.get("sampledUsers").orNull((value) => value.count()),
    candidates: place.get("candidates").count(),
    seen: place.get("seen").oneOf(["history"]),
    ties: place.get("ties").oneOf(["pessimistic"]),
    ks,
    bootstrap: place.get("bootstrap").orNull((bootstrap) => ({
      over: bootstrap.get("over").oneOf(["users"]),
      resamples: bootstrap.get("resamples").count(),
      level: bootstrap.get("level").number(),
      seed: bootstrap.get("seed").count(),
    })),
    windows: place.get("windows").hash(),
    split: readSplitCard(place.get("split")),
    versions: {
      userLlm: versions.get("userLlm").text(),
      node: versions.get("node").text(),
    },
  };
}

function countsOf(place: Place): RankingCounts {
  return {
    windows: place.get("windows").count(),
    users: place.get("users").count(),
    usersNotTested: place.get("usersNotTested").count(),
    coldTargets: place.get("coldTargets").count(),
    repeatedTargets: place.get("repeatedTargets").count(),
  };
}

function windowsOf(place: Place, { candidates, split }: RankingProtocol): RankedWindows {
  const { users, events } = split.data;
  return {
    users: place.get("users").wholeNumbers(0, users - 1),
    targetRows: place.get("targetRows").wholeNumbers(0, events - 1),
    unmasked: place.get("unmasked").wholeNumbers(1, candidates),
    masked: place.get("masked").wholeNumbers(1, candidates),
    cold: place.get("cold").wholeNumbers(0, 1),
    repeated: place.get("repeated").wholeNumbers(0, 1),
  };
}

function measurementOf(place: Place, { ks, bootstrap }: RankingProtocol): Measurement {
  const estimates = (of: Place): Record<string, Estimate> =>
    Object.fromEntries(metricNames(ks).map((name) => [name, estimateOf(of.get(name), bootstrap)]));
  return { unmasked: estimates(place.get("unmasked")), masked: estimates(place.get("masked")) };
}

function estimateOf(place: Place, bootstrap: RankingProtocol["bootstrap"]): Estimate {
  const interval = place.get("interval").orNull((value): [number, number] => {
    const [low, high, ...more] = value.list();
    if (!low || !high || more.length > 0) return value.fail("two numbers");
    return [low.number(), high.number()];
  });
  if (interval && !bootstrap) place.get("interval").fail("null where nothing was resampled");
  return { mean: place.get("mean").number(), interval };
}

/** What one part of the file says about another. */
async function checkTogether(path: string, result: RankingResult): Promise<void> {
  const { windows, counts, protocol, metrics } = result;
  const require = (holds: boolean, rule: string): void => {
    if (!holds) throw new DataError(`${path}: ${rule}`);
  };
  const { users, targetRows, unmasked, masked, cold, repeated } = windows;
  const size = users.length;
  require(size > 0, "it has no windows");
  for (const [name, column] of Object.entries(windows))
    require(column.length === size, `"windows.${name}" has ${column.length} of ${size} windows`);
  for (let i = 0; i < size; i++) {
    if (masked[i]! > unmasked[i]!)
      require(false, `window ${i} has rank ${unmasked[i]}, and the greater ${masked[i]} masked`);
    const isNext = i === 0 || (users[i]! >= users[i - 1]! && targetRows[i]! > targetRows[i - 1]!);
    if (!isNext) require(false, `window ${i} is not behind window ${i - 1} in user and target row`);
  }
  const different = new Set(users).size;
  const expected: RankingCounts = {
    windows: size,
    users: different,
    usersNotTested: protocol.split.data.users - different,
    coldTargets: ones(cold),
    repeatedTargets: ones(repeated),
  };
  for (const [name, count] of Object.entries(expected))
    require(counts[name as keyof RankingCounts] ===
      count, `"counts.${name}" is ${counts[name as keyof RankingCounts]}, its windows have ${count}`);
  require(protocol.windows ===
    windowsFingerprint(windows), `"protocol.windows" is not the fingerprint of its windows`);
  const computed = await measure(windows, { ks: protocol.ks, resamples: 0, seed: 0 });
  requireMeans(require, "all", metrics.all, computed.all);
  require((metrics.withoutCold === null) ===
    (computed.withoutCold === null), `"metrics.withoutCold" does not go with its windows`);
  if (metrics.withoutCold)
    requireMeans(require, "withoutCold", metrics.withoutCold, computed.withoutCold!);
}

function requireMeans(
  require: (holds: boolean, rule: string) => void,
  name: string,
  written: Measurement,
  computed: Measurement,
): void {
  for (const kind of ["unmasked", "masked"] as const)
    for (const [metric, { mean }] of Object.entries(computed[kind])) {
      const found = written[kind][metric]!.mean;
      const path = `metrics.${name}.${kind}.${metric}.mean`;
      require(Math.abs(found - mean) <= rounding, `"${path}" is ${found}, its ranks give ${mean}`);
    }
}

const ones = (flags: readonly number[]): number => flags.reduce((sum, flag) => sum + flag, 0);
