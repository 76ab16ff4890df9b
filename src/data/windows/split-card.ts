import { createHash } from "node:crypto";
import type { LongCall } from "../../progress.js";
import type { PreparedData } from "../prepared/prepared-data.js";
import { forRowBlocks, fromHalves, halvesOf } from "../prepared/row-blocks.js";
import type { SplitDecisions } from "./split.js";
import { shownMoment } from "./split-moments.js";
import type { Windows } from "./windows.js";

/** Everything that a reader of a result must know of its split. Plain data. */
export interface SplitCard {
  /** SHA-256 of the data and of every decision below: equal exactly when the splits are. */
  readonly fingerprint: string;
  readonly data: {
    readonly fingerprint: string;
    readonly title: string;
    readonly events: number;
    readonly users: number;
    readonly items: number;
  };
  readonly decisions: SplitDecisions;
  readonly train: SplitPart;
  readonly validation: SplitPart | null;
  readonly test: SplitPart;
  /** Users whose history is too short for a test window. */
  readonly usersNotTested: number;
  /** Whether a training target happens after a test target: of another user, since a user's own come in order. */
  readonly periodsOverlap: boolean;
}

/** The windows of training, validation or test. */
export interface SplitPart {
  readonly windows: number;
  /** Users that have one. */
  readonly users: number;
  /** First and last moment of a target; null without windows or where the clock counts positions. */
  readonly from: string | null;
  readonly to: string | null;
  /** Targets of the moment of the event before or after, so that the order of the source made them the target. */
  readonly tiedTargets: number;
  /** Targets whose item no training window has. 0 for training. */
  readonly coldTargets: number;
}

/** @internal */
export async function describeSplit(
  data: PreparedData,
  decisions: SplitDecisions,
  parts: { train: Windows; validation: Windows | undefined; test: Windows },
  options: LongCall,
): Promise<SplitCard> {
  const items = data.column("item");
  const trained = await trainedItems(data, parts.train, options);
  const isCold = (target: number): boolean => trained[items[target]!] !== 1;
  const describe = (windows: Windows) => describePart(data, windows, isCold, options);
  const train = await describe(parts.train);
  const validation = parts.validation && (await describe(parts.validation));
  const test = await describe(parts.test);
  const isTime = data.manifest.clock.kind === "time";

  const { fingerprint, events, users } = data;
  const hash = createHash("sha256").update(JSON.stringify([fingerprint, decisions]));
  return {
    fingerprint: hash.digest("hex"),
    data: { fingerprint, title: data.manifest.source.title, events, users, items: data.items },
    decisions,
    train: train.part,
    validation: validation?.part ?? null,
    test: test.part,
    usersNotTested: users - test.part.users,
    periodsOverlap: isTime && train.last > test.first,
  };
}

/** 1 for each item of an event in the span of a user's training windows: the others are cold. */
export async function trainedItems(
  data: PreparedData,
  train: Windows,
  options: LongCall,
): Promise<Uint8Array> {
  const items = data.column("item");
  const seen = new Uint8Array(data.items);
  let user = 0;
  await forRowBlocks(data.events, "looking for cold items", options, (from, to) => {
    // A block may cut a user's rows; the user is then taken up again by the next.
    for (; user < data.users && train.starts[user]! < to; user++) {
      const [begin, end] = train.span(user);
      for (let row = Math.max(from, begin); row < Math.min(to, end); row++) seen[items[row]!] = 1;
      if (train.starts[user + 1]! > to) break;
    }
  });
  return seen;
}

async function describePart(
  data: PreparedData,
  windows: Windows,
  isCold: (target: number) => boolean,
  options: LongCall,
): Promise<{ part: SplitPart; first: number; last: number }> {
  const times = halvesOf(data.times());
  let tiedTargets = 0;
  let coldTargets = 0;
  let from = Number.POSITIVE_INFINITY;
  let to = Number.NEGATIVE_INFINITY;
  await forRowBlocks(windows.count, "describing the split", options, (begin, end) => {
    for (const { user, first, count } of windows.runs(begin, end)) {
      const userEnd = data.userOffsets[user + 1]!;
      for (let i = 0, target = first; i < count; i++, target += windows.stride) {
        const time = fromHalves(times, target);
        if (time < from) from = time;
        if (time > to) to = time;
        const isTied =
          fromHalves(times, target - 1) === time ||
          (target + 1 < userEnd && fromHalves(times, target + 1) === time);
        if (isTied) tiedTargets++;
        if (isCold(target)) coldTargets++;
      }
    }
  });
  const hasMoments = windows.count > 0 && data.manifest.clock.kind === "time";
  const part = {
    windows: windows.count,
    users: windows.usersWithWindows,
    from: hasMoments ? shownMoment(from) : null,
    to: hasMoments ? shownMoment(to) : null,
    tiedTargets,
    coldTargets,
  };
  return { part, first: from, last: to };
}
