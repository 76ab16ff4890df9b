import { DataError, UsageError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import type { PreparedData } from "../prepared/prepared-data.js";
import { describeSplit, type SplitCard } from "./split-card.js";
import { lowerBound, momentOfShare, shownMoment } from "./split-moments.js";
import { splitUsers } from "./split-users.js";
import { Windows } from "./windows.js";

/** How prepared data is cut into training, validation and test windows. */
export interface SplitOptions extends LongCall {
  /**
   * `full`: every window has `length` inputs; users need one event more. `padded`: windows of a user's first events are
   * shorter, and users need `minHistory` events. Default: `full`.
   */
  windows?: "full" | "padded" | undefined;
  /** Most inputs of a window, from 1 to 65,536. Default: 50. */
  length?: number | undefined;
  /** Events that a user must have for padded windows, at least 2. Default: 3. */
  minHistory?: number | undefined;
  /**
   * `leave-last-out`: the last event of each user is the test target, the one before the validation target.
   * `temporal`: targets before a moment train, those at or after it test, whoever's they are. Default: `leave-last-out`.
   */
  strategy?: "leave-last-out" | "temporal" | undefined;
  /** Whether there is a validation split. Default: true. */
  validation?: boolean | undefined;
  /** Training windows of a user are this many events apart, counted from the last one back. Default: 1. */
  stride?: number | undefined;
  /** Of `temporal`. */
  temporal?: TemporalOptions | undefined;
  /** Users of training, validation and test apart, instead of the same users in all. Default: the same. */
  disjointUsers?: DisjointUsers | undefined;
}

/** A moment is in milliseconds since 1970, a `Date`, or a text that `Date` reads. */
export type Moment = number | Date | string;

/** Where a temporal split cuts. Events of the same moment are never parted: all of them are on the later side. */
export interface TemporalOptions {
  /** Targets at or after it are of the test. Default: the moment that `testShare` says. */
  testFrom?: Moment | undefined;
  /** Targets at or after it, and before `testFrom`, are of the validation. Default: as `validationShare` says. */
  validationFrom?: Moment | undefined;
  /** At least this share of all events happens at or after `testFrom`. Default: 0.1. */
  testShare?: number | undefined;
  /** And this share between `validationFrom` and `testFrom`. Default: 0.1. */
  validationShare?: number | undefined;
  /** Which of a user's targets in a period count: all of them, or one, which weighs users alike. Default: `all`. */
  targets?: "all" | "first" | "last" | undefined;
}

/** How users are parted. */
export interface DisjointUsers {
  /** Share of the users that are tested. Default: 0.1. */
  testShare?: number | undefined;
  /** Share of the users that are validated on, where there is a validation split. Default: 0.1. */
  validationShare?: number | undefined;
  /** Who is in which part. Default: 0. */
  seed?: number | undefined;
}

/** What a split yields. The windows keep numbers for each user, and no event. */
export interface Split {
  readonly train: Windows;
  /** Undefined with `validation: false`. */
  readonly validation: Windows | undefined;
  readonly test: Windows;
  /** Every decision and count, for reports. */
  readonly card: SplitCard;
}

/** {@link SplitOptions} with nothing left open. */
export interface SplitDecisions {
  readonly windows: "full" | "padded";
  readonly length: number;
  readonly minHistory: number;
  readonly strategy: "leave-last-out" | "temporal";
  readonly validation: boolean;
  readonly stride: number;
  readonly temporal:
    | {
        readonly validationFrom: number;
        readonly testFrom: number;
        readonly targets: "all" | "first" | "last";
      }
    | undefined;
  readonly disjointUsers:
    | { readonly testShare: number; readonly validationShare: number; readonly seed: number }
    | undefined;
}

/**
 * Cuts prepared data into windows.
 *
 * Whatever the strategy, the inputs of a window are the events of its user right before its target; a test window's
 * inputs may be training targets, a training window never sees a validation or test target.
 *
 *     const { train, validation, test, card } = await split(data, { windows: "padded", length: 50 });
 *
 * @throws UsageError for options that make no sense
 * @throws DataError when training or test would be empty
 */
export async function split(data: PreparedData, options: SplitOptions = {}): Promise<Split> {
  const decisions = await decide(data, options);
  const runs =
    decisions.temporal === undefined ? lastEvents(data, decisions) : periods(data, decisions);
  const { disjointUsers } = decisions;
  if (disjointUsers !== undefined) {
    const roleOf = splitUsers(data.users, disjointUsers);
    for (const role of roles) runs[role] = runs[role].filterUsers((user) => roleOf(user) === role);
  }
  checkNotEmpty(data, decisions, runs);
  const { train, test } = runs;
  const validation = decisions.validation ? runs.validation : undefined;
  const card = await describeSplit(data, decisions, { train, validation, test }, options);
  return { train, validation, test, card };
}

const roles = ["train", "validation", "test"] as const;
type Runs = Record<(typeof roles)[number], Windows>;

async function decide(data: PreparedData, options: SplitOptions): Promise<SplitDecisions> {
  const {
    windows = "full",
    length = 50,
    minHistory = 3,
    strategy = "leave-last-out",
    validation = true,
    stride = 1,
  } = options;
  checkChoice("windows", windows, ["full", "padded"]);
  checkChoice("strategy", strategy, ["leave-last-out", "temporal"]);
  checkWhole("length", length, 1, 65_536);
  checkWhole("minHistory", minHistory, 2, 2 ** 31);
  checkWhole("stride", stride, 1, 2 ** 31);
  if (options.temporal !== undefined && strategy !== "temporal") {
    throw new UsageError(`split: "temporal" is of the strategy "temporal", not of "${strategy}"`);
  }
  let temporal: SplitDecisions["temporal"];
  if (strategy === "temporal") {
    const { targets = "all" } = options.temporal ?? {};
    checkChoice("temporal.targets", targets, ["all", "first", "last"]);
    temporal = {
      ...(await momentsOf(data, options.temporal ?? {}, validation, options.signal)),
      targets,
    };
  }
  let disjointUsers: SplitDecisions["disjointUsers"];
  if (options.disjointUsers !== undefined) {
    const { testShare = 0.1, validationShare = 0.1, seed = 0 } = options.disjointUsers;
    checkShares("disjointUsers", testShare, validation ? validationShare : 0);
    checkWhole("disjointUsers.seed", seed, 0, 2 ** 32 - 1);
    disjointUsers = { testShare, validationShare: validation ? validationShare : 0, seed };
  }
  return { windows, length, minHistory, strategy, validation, stride, temporal, disjointUsers };
}

async function momentsOf(
  data: PreparedData,
  { testFrom, validationFrom, testShare = 0.1, validationShare = 0.1 }: TemporalOptions,
  validation: boolean,
  signal: AbortSignal | undefined,
): Promise<{ validationFrom: number; testFrom: number }> {
  if (data.manifest.clock.kind !== "time") {
    throw new UsageError("split: a temporal split needs times, this data has positions");
  }
  if (!validation && validationFrom !== undefined) {
    throw new UsageError("split: temporal.validationFrom is given, and validation is false");
  }
  checkShares("temporal", testShare, validation ? validationShare : 0);
  const momentOf = async (
    name: string,
    given: Moment | undefined,
    share: number,
  ): Promise<number> =>
    given === undefined ? momentOfShare(data, share, signal) : timeOf(name, given);
  const test = await momentOf("temporal.testFrom", testFrom, testShare);
  if (!validation) return { validationFrom: test, testFrom: test };
  const from = await momentOf(
    "temporal.validationFrom",
    validationFrom,
    testShare + validationShare,
  );
  if (from >= test) {
    const [a, b] = [from, test].map((moment) => shownMoment(moment));
    throw new UsageError(
      `split: the validation begins at ${a}, which must be before the test, ${b}`,
    );
  }
  return { validationFrom: from, testFrom: test };
}

function timeOf(name: string, moment: Moment): number {
  const time = typeof moment === "number" ? moment : new Date(moment).getTime();
  if (Number.isSafeInteger(time)) return time;
  throw new UsageError(`split: ${name} must be a moment, got ${String(moment)}`);
}

/** The last event of each user tests, the one before validates, the others train. */
function lastEvents(data: PreparedData, decisions: SplitDecisions): Runs {
  const held = decisions.validation ? 2 : 1;
  return runsOf(data, decisions, (_, end) => ({ validation: end - held, test: end - 1 }));
}

function periods(data: PreparedData, decisions: SplitDecisions): Runs {
  const times = data.times();
  const { validationFrom, testFrom, targets } = decisions.temporal!;
  const [a, b] = [BigInt(validationFrom), BigInt(testFrom)];
  const runs = runsOf(data, decisions, (start, end) => {
    const test = lowerBound(times, b, start, end);
    return { validation: lowerBound(times, a, start, test), test };
  });
  if (targets !== "all") {
    runs.validation = oneTarget(runs.validation, targets);
    runs.test = oneTarget(runs.test, targets);
  }
  return runs;
}

/**
 * Windows of three runs of targets: a user's events before the row `validation` train, those from there to `test`
 * validate, those from `test` on test; of each run the targets that have inputs enough.
 */
function runsOf(
  data: PreparedData,
  { windows, length, minHistory, stride }: SplitDecisions,
  cut: (start: number, end: number) => { validation: number; test: number },
): Runs {
  const { users, userOffsets } = data;
  const fewestInputs = windows === "full" ? length : 1;
  const fewestEvents = windows === "full" ? length + 1 : minHistory;
  const run = (stride: number) =>
    new Windows({
      length,
      starts: userOffsets,
      first: new Float64Array(users),
      cumulative: new Float64Array(users + 1),
      stride,
    });
  const runs = { train: run(stride), validation: run(1), test: run(1) };
  const append = (windows: Windows, user: number, from: number, to: number): void => {
    const { first, cumulative } = windows;
    // From the last one back, so that all events but the first are some window's.
    first[user] = from + (Math.max(0, to - 1 - from) % windows.stride);
    cumulative[user + 1] = cumulative[user]! + Math.max(0, Math.ceil((to - from) / windows.stride));
  };
  for (let user = 0; user < users; user++) {
    const start = userOffsets[user]!;
    const end = userOffsets[user + 1]!;
    const earliest = end - start < fewestEvents ? end : start + fewestInputs;
    const { validation, test } = cut(start, end);
    append(runs.train, user, earliest, validation);
    append(runs.validation, user, Math.max(earliest, validation), test);
    append(runs.test, user, Math.max(earliest, test), end);
  }
  return runs;
}

/** Of each user's windows the first or the last. */
function oneTarget(windows: Windows, which: "first" | "last"): Windows {
  const { users, length, starts } = windows;
  const first = new Float64Array(users);
  const cumulative = new Float64Array(users + 1);
  for (let user = 0; user < users; user++) {
    const one = windows.countOf(user) > 0 ? 1 : 0;
    first[user] = which === "first" ? windows.first[user]! : windows.last(user);
    cumulative[user + 1] = cumulative[user]! + one;
  }
  return new Windows({ length, starts, first, cumulative });
}

function checkNotEmpty(data: PreparedData, decisions: SplitDecisions, runs: Runs): void {
  const empty = (["train", "test"] as const).find((role) => runs[role].count === 0);
  if (empty === undefined) return;
  const { userOffsets, users } = data;
  let longest = 0;
  for (let user = 0; user < users; user++)
    longest = Math.max(longest, userOffsets[user + 1]! - userOffsets[user]!);
  const { windows, length, strategy } = decisions;
  const advice = windows === "full" ? ' or with windows: "padded"' : "";
  throw new DataError(
    `${data.folder}: no ${empty} window with windows: "${windows}", length ${length}, strategy "${strategy}"; ` +
      `the longest history has ${longest} events. Split with a smaller length${advice}`,
  );
}

function checkChoice(name: string, value: string, choices: readonly string[]): void {
  if (choices.includes(value)) return;
  throw new UsageError(
    `split: ${name} must be ${choices.map((choice) => `"${choice}"`).join(" or ")}, got "${value}"`,
  );
}

function checkWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new UsageError(
    `split: ${name} must be a whole number from ${least} to ${most}, got ${value}`,
  );
}

function checkShares(of: string, testShare: number, validationShare: number): void {
  if (testShare > 0 && validationShare >= 0 && testShare + validationShare < 1) return;
  throw new UsageError(
    `split: the shares of ${of} must be above 0 and together below 1, got ${testShare} and ${validationShare}`,
  );
}
