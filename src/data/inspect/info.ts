import type { LongCall } from "../../progress.js";
import type { Feature } from "../feature.js";
import type { Manifest } from "../manifest.js";
import type { PreparedData } from "../prepared/prepared-data.js";
import { forRowBlocks, fromHalves, halvesOf } from "../prepared/row-blocks.js";
import { shownMoment } from "../windows/split-moments.js";
import {
  add,
  countFrom,
  type Distribution,
  distributionOf,
  giniOf,
  shareOfLargest,
} from "./distribution.js";
import { describeTexts, type TextInfo } from "./text-survey.js";
import { describeTitles, type TitleInfo } from "./title-survey.js";

/** What {@link info} is told. */
export interface InfoOptions extends LongCall {
  /** Most inputs of the windows that are counted. Default: 50, the paper's. */
  windowLength?: number | undefined;
}

/** What a data set is like. Plain data, as `data info --json` prints it. */
export interface DataInfo {
  readonly source: Manifest["source"];
  /** SHA-256 of the data; see `PreparedData.fingerprint`. */
  readonly fingerprint: string;
  readonly counts: Manifest["counts"];
  /** Different pairs of user and item, as a share of all pairs. */
  readonly density: number;
  readonly histories: HistoryInfo;
  readonly popularity: PopularityInfo;
  readonly clock: ClockInfo;
  readonly repeats: RepeatInfo;
  readonly titles: TitleInfo;
  /** Texts of the titles. */
  readonly titleTexts: TextInfo;
  readonly features: readonly FeatureInfo[];
  readonly windows: WindowInfo;
  readonly dropped: Manifest["dropped"];
  /** Of the Arrow files; by name. */
  readonly disk: { readonly bytes: number; readonly files: Readonly<Record<string, number>> };
}

/** Events of users. */
export interface HistoryInfo {
  /** Null without users. */
  readonly lengths: Distribution | null;
  /** Users of at least so many events: one more than some lengths of windows. */
  readonly usersWithAtLeast: Readonly<Record<string, number>>;
}

/** How unevenly events fall on the items that have any. */
export interface PopularityInfo {
  /** Events of an item. Null without events. */
  readonly eventsPerItem: Distribution | null;
  /** Share of all events that the most popular hundredth, or tenth, of those items has. */
  readonly top1Percent: number;
  readonly top10Percent: number;
  /** 0: all items alike; towards 1: one item has everything. */
  readonly gini: number;
}

/** When events happened, and what of their order the times leave open. */
export interface ClockInfo {
  readonly kind: "time" | "position";
  /** First and last moment; null for positions, and without events. */
  readonly from: string | null;
  readonly to: string | null;
  /** Events that share user and moment with another, so that their order is the source's. */
  readonly tiedEvents: number;
  readonly tiedEventsShare: number;
  /** Users whose last event is tied: their test target depends on the order of the source. */
  readonly usersWithTiedLast: number;
  readonly usersWithTiedLastShare: number;
}

/** Events whose user had the item before. */
export interface RepeatInfo {
  readonly events: number;
  /** Users that have such an event. */
  readonly users: number;
}

/** A feature and its values. */
export interface FeatureInfo extends Feature {
  /** Of the rows that the feature is of. */
  readonly missingShare: number;
  /** The values that most events have; none of a text. */
  readonly top: readonly { readonly value: string | number; readonly events: number }[];
  /** Of a feature of texts. */
  readonly text: TextInfo | null;
}

/** Windows of the leave-last-out split without validation, as the paper's Table 1 counts them. */
export interface WindowInfo {
  /** Most inputs of a window. */
  readonly length: number;
  readonly full: { readonly train: number; readonly test: number };
  /** With histories from 3 events. */
  readonly padded: { readonly train: number; readonly test: number };
}

const shownValues = 10;
const historyMarks = [2, 3, 5, 11, 21, 51, 101, 201];

/** Describes a data set: one pass over the events, and a sample of the texts. */
export async function info(data: PreparedData, options: InfoOptions = {}): Promise<DataInfo> {
  const { manifest } = data;
  const { counts } = manifest;
  const histories = new Map<number, number>();
  for (let user = 0; user < data.users; user++) add(histories, historyLength(data, user));
  const repeats = await countRepeats(data, options);
  const features: FeatureInfo[] = [];
  for (const feature of data.features) features.push(await describeFeature(data, feature, options));
  const titleOf = (item: number): string | undefined => data.title(item);

  return {
    source: manifest.source,
    fingerprint: data.fingerprint,
    counts,
    density: ratio(counts.events - repeats.events, counts.users * counts.items),
    histories: {
      lengths: distributionOf(histories),
      usersWithAtLeast: Object.fromEntries(
        historyMarks.map((least) => [least, countFrom(histories, least)]),
      ),
    },
    popularity: describePopularity(data),
    clock: describeClock(manifest),
    repeats,
    titles: await describeTitles(data, options),
    titleTexts: await describeTexts(data.items, titleOf, "looking at titles", options),
    features,
    windows: countWindows(histories, options.windowLength ?? 50),
    dropped: manifest.dropped,
    disk: {
      bytes: manifest.files.reduce((sum, { bytes }) => sum + bytes, 0),
      files: Object.fromEntries(manifest.files.map(({ name, bytes }) => [name, bytes])),
    },
  };
}

const historyLength = ({ userOffsets }: PreparedData, user: number): number =>
  userOffsets[user + 1]! - userOffsets[user]!;

const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

async function countRepeats(data: PreparedData, options: LongCall): Promise<RepeatInfo> {
  const items = data.column("item");
  const { userOffsets } = data;
  /** The last user that had each item, plus 1. */
  const lastUser = new Int32Array(data.items);
  let events = 0;
  let users = 0;
  let lastRepeating = -1;
  let user = 0;
  await forRowBlocks(data.events, "counting repeated items", options, (from, to) => {
    for (let row = from; row < to; row++) {
      while (row >= userOffsets[user + 1]!) user++;
      const item = items[row]!;
      if (lastUser[item] === user + 1) {
        events++;
        if (lastRepeating !== user) users++;
        lastRepeating = user;
      }
      lastUser[item] = user + 1;
    }
  });
  return { events, users };
}

function describePopularity(data: PreparedData): PopularityInfo {
  const counts = halvesOf(data.itemEvents());
  const tally = new Map<number, number>();
  for (let item = 0; item < data.items; item++) {
    const events = fromHalves(counts, item);
    if (events > 0) add(tally, events);
  }
  return {
    eventsPerItem: distributionOf(tally),
    top1Percent: shareOfLargest(tally, 0.01),
    top10Percent: shareOfLargest(tally, 0.1),
    gini: giniOf(tally),
  };
}

function describeClock({ clock, counts }: Manifest): ClockInfo {
  const shown = (moment: number | null): string | null =>
    clock.kind === "position" || moment === null ? null : shownMoment(moment);
  return {
    kind: clock.kind,
    from: shown(clock.first),
    to: shown(clock.last),
    tiedEvents: clock.tiedEvents,
    tiedEventsShare: ratio(clock.tiedEvents, counts.events),
    usersWithTiedLast: clock.usersWithTiedLast,
    usersWithTiedLastShare: ratio(clock.usersWithTiedLast, counts.users),
  };
}

async function describeFeature(
  data: PreparedData,
  feature: Feature,
  options: LongCall,
): Promise<FeatureInfo> {
  const { name, kind, of, missing } = feature;
  const rows = of === "event" ? data.events : data.items;
  const isText = kind === "text";
  const textOf = (row: number): string => data.text(name, row);
  return {
    ...feature,
    missingShare: ratio(missing, rows),
    top: isText ? [] : topValues(data, name),
    text: isText ? await describeTexts(rows, textOf, `looking at ${name}`, options) : null,
  };
}

/** The values that most events have; of equal counts the first. */
function topValues(data: PreparedData, name: string): FeatureInfo["top"] {
  const counts = halvesOf(data.vocabularyCounts(name));
  const top: { index: number; events: number }[] = [];
  for (let index = 0; index < counts.length / 2; index++) {
    const events = fromHalves(counts, index);
    if (top.length === shownValues && events <= top.at(-1)!.events) continue;
    if (top.length === shownValues) top.pop();
    const place = top.findIndex((other) => other.events < events);
    top.splice(place < 0 ? top.length : place, 0, { index, events });
  }
  return top.map(({ index, events }) => ({ value: data.value(name, index), events }));
}

function countWindows(histories: ReadonlyMap<number, number>, length: number): WindowInfo {
  const full = { train: 0, test: 0 };
  const padded = { train: 0, test: 0 };
  for (const [events, users] of histories) {
    if (events > length) {
      full.test += users;
      full.train += users * (events - length - 1);
    }
    if (events >= 3) {
      padded.test += users;
      padded.train += users * (events - 2);
    }
  }
  return { length, full, padded };
}
