/** Checks of the values of prepared data. */
import { isUtf8 } from "node:buffer";
import type { LongCall } from "../../progress.js";
import { type Feature, missingIndex } from "../feature.js";
import type { ArrowColumn, TextColumn } from "../prepared/arrow-table.js";
import type { PreparedData } from "../prepared/prepared-data.js";
import { vocabularyFile } from "../prepared/read-manifest.js";
import { forRowBlocks, fromHalves, halvesOf } from "../prepared/row-blocks.js";
import type { Problems } from "./problem-list.js";

/** What every check is given. */
interface Check {
  readonly data: PreparedData;
  readonly problems: Problems;
  readonly options: LongCall;
}

/** @internal */
export async function checkContent(
  data: PreparedData,
  problems: Problems,
  options: LongCall,
): Promise<void> {
  const check = { data, problems, options };
  await checkNames(check, "users.arrow", "id");
  await checkNames(check, "items.arrow", "id");
  await checkTitles(check);
  await checkOrder(check);
  await checkItems(check);
  for (const feature of data.features) {
    if (feature.kind === "text") {
      await checkTexts(check, fileOf(feature), feature.name, feature.missing);
      continue;
    }
    await checkVocabulary(check, feature);
    if (feature.kind === "bag") await checkBags(check, feature);
    else await checkIndices(check, feature);
  }
}

const fileOf = ({ of }: Feature): string => `${of}s.arrow`;
const tableRows = (data: PreparedData, { of }: Feature): number =>
  of === "event" ? data.events : data.items;

function textsOf(column: ArrowColumn): TextColumn {
  if (column.type !== "name" && column.type !== "text")
    throw new TypeError("not a column of texts");
  return column.texts;
}

/** Offsets rise within the bytes; every text is UTF-8. */
async function checkTexts(
  { data, problems, options }: Check,
  file: string,
  column: string,
  missing?: number,
): Promise<boolean> {
  const texts = textsOf(data.columnOf(file, column));
  const { bytes, rows } = texts;
  let empty = 0;
  let isValid = true;
  const fault = (row: number, rule: string, got: string | number): void => {
    isValid = false;
    problems.ofRow(file, column, row, rule, got);
  };
  await forRowBlocks(
    rows,
    `checking ${column}`,
    options,
    (from, to) => {
      for (let row = from; row < to; row++) {
        const start = texts.offset(row);
        const end = texts.offset(row + 1);
        if (start === end && !texts.isNull(row)) empty++;
        if (start > end || end > bytes.length)
          fault(row, "a text must end after it begins, and in the file", end);
        else if (!isUtf8(bytes.subarray(start, end)))
          fault(row, "a text must be UTF-8", "other bytes");
      }
    },
    1 << 15,
  );
  if (missing !== undefined)
    problems.ofCount(file, `column "${column}": rows without a text`, missing, empty);
  return isValid;
}

/** Texts that are different from each other. */
async function checkNames(check: Check, file: string, column: string): Promise<void> {
  if (!(await checkTexts(check, file, column))) return;
  const texts = textsOf(check.data.columnOf(file, column));
  const seen = new Set<string>();
  await forRowBlocks(
    texts.rows,
    `checking ${file}`,
    check.options,
    (from, to) => {
      for (let row = from; row < to; row++) {
        const name = texts.text(row);
        if (seen.has(name))
          check.problems.ofRow(file, column, row, "values must differ", JSON.stringify(name));
        seen.add(name);
      }
    },
    1 << 15,
  );
}

async function checkTitles(check: Check): Promise<void> {
  const { data, problems, options } = check;
  if (!(await checkTexts(check, "items.arrow", "title"))) return;
  const items = new Map<string, number>();
  let missing = 0;
  await forRowBlocks(
    data.items,
    "checking titles",
    options,
    (from, to) => {
      for (let item = from; item < to; item++) {
        const title = data.title(item);
        if (title === undefined) missing++;
        else items.set(title, (items.get(title) ?? 0) + 1);
      }
    },
    1 << 15,
  );
  let shared = 0;
  let itemsSharing = 0;
  for (const count of items.values()) {
    if (count < 2) continue;
    shared++;
    itemsSharing += count;
  }
  const { titles } = data.manifest;
  problems.ofCount("manifest.json", '"titles.missing"', titles.missing, missing);
  problems.ofCount("manifest.json", '"titles.shared"', titles.shared, shared);
  problems.ofCount("manifest.json", '"titles.itemsSharing"', titles.itemsSharing, itemsSharing);
}

/** Within a user, time does not go back; what the manifest says of the clock is so. */
async function checkOrder({ data, problems, options }: Check): Promise<void> {
  const { userOffsets } = data;
  const { clock } = data.manifest;
  const times = halvesOf(data.times());
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  let tiedEvents = 0;
  let usersWithTiedLast = 0;
  let user = -1;
  let end = 0;
  await forRowBlocks(data.events, "checking the order", options, (from, to) => {
    for (let row = from; row < to; row++) {
      const time = fromHalves(times, row);
      const isFirst = row === end;
      while (row === end) end = userOffsets[++user + 1]!;
      first = Math.min(first, time);
      last = Math.max(last, time);
      const before = isFirst ? Number.NEGATIVE_INFINITY : fromHalves(times, row - 1);
      if (time < before) {
        problems.ofRow(
          "events.arrow",
          clock.kind,
          row,
          "must not be less than in the row before",
          time,
        );
      }
      const isTied = time === before || (row + 1 < end && fromHalves(times, row + 1) === time);
      if (isTied) tiedEvents++;
      if (isTied && row + 1 === end) usersWithTiedLast++;
    }
  });
  const isEmpty = data.events === 0;
  problems.ofCount("manifest.json", '"clock.first"', clock.first, isEmpty ? null : first);
  problems.ofCount("manifest.json", '"clock.last"', clock.last, isEmpty ? null : last);
  problems.ofCount("manifest.json", '"clock.tiedEvents"', clock.tiedEvents, tiedEvents);
  problems.ofCount(
    "manifest.json",
    '"clock.usersWithTiedLast"',
    clock.usersWithTiedLast,
    usersWithTiedLast,
  );
  for (let u = 0; u < data.users; u++) {
    if (userOffsets[u] === userOffsets[u + 1])
      problems.ofRow("users.arrow", "length", u, "a user has events", 0);
  }
}

/** Events name items of the catalogue, as often as the catalogue says. */
async function checkItems({ data, problems, options }: Check): Promise<void> {
  const items = data.column("item");
  const counted = new Float64Array(data.items);
  await forRowBlocks(data.events, "checking items", options, (from, to) => {
    for (let row = from; row < to; row++) {
      const item = items[row]!;
      if (item >= 0 && item < data.items) counted[item]!++;
      else problems.ofRow("events.arrow", "item", row, `must be from 0 to ${data.items - 1}`, item);
    }
  });
  const given = halvesOf(data.itemEvents());
  let without = 0;
  for (let item = 0; item < data.items; item++) {
    if (counted[item] === 0) without++;
    if (fromHalves(given, item) !== counted[item]) {
      const got = `${fromHalves(given, item)}, counted ${counted[item]}`;
      problems.ofRow("items.arrow", "events", item, "must be the events of the item", got);
    }
  }
  const { itemsWithoutEvents } = data.manifest.counts;
  problems.ofCount("manifest.json", '"counts.itemsWithoutEvents"', itemsWithoutEvents, without);
}

/** Names differ; numbers rise. */
async function checkVocabulary(check: Check, { name, kind }: Feature): Promise<void> {
  const { data, problems } = check;
  const file = vocabularyFile(name);
  if (kind !== "ordinal") return checkNames(check, file, "value");
  const values = data.vocabulary(name);
  for (let i = 0; i < values.length; i++) {
    const value = Number(values[i]);
    const rises = i === 0 || value > Number(values[i - 1]);
    if (!Number.isFinite(value) || !rises) {
      problems.ofRow(file, "value", i, "must be a number greater than the one before", value);
    }
  }
}

async function checkIndices(check: Check, feature: Feature): Promise<void> {
  const { data, problems, options } = check;
  const { name, of, size } = feature;
  const indices = of === "event" ? data.column(name) : data.itemColumn(name);
  const weights = of === "item" ? halvesOf(data.itemEvents()) : undefined;
  const counted = new Float64Array(size);
  let missing = 0;
  await forRowBlocks(tableRows(data, feature), `checking ${name}`, options, (from, to) => {
    for (let row = from; row < to; row++) {
      const index = indices[row]!;
      if (index === missingIndex) missing++;
      else if (index >= 0 && index < size)
        counted[index]! += weights ? fromHalves(weights, row) : 1;
      else problems.ofRow(fileOf(feature), name, row, `must be from -1 to ${size - 1}`, index);
    }
  });
  checkCounts(check, feature, counted, missing);
}

async function checkBags(check: Check, feature: Feature): Promise<void> {
  const { data, problems, options } = check;
  const { name, of, size } = feature;
  const file = fileOf(feature);
  const { offsets, values } = data.bag(name);
  const weights = of === "item" ? halvesOf(data.itemEvents()) : undefined;
  const counted = new Float64Array(size);
  /** The last row that had each value, plus 1. */
  const lastRow = new Float64Array(size);
  let missing = 0;
  let longest = 0;
  await forRowBlocks(tableRows(data, feature), `checking ${name}`, options, (from, to) => {
    for (let row = from; row < to; row++) {
      const start = offsets[row]!;
      const end = offsets[row + 1]!;
      if (start === end) missing++;
      if (start < 0 || start > end || end > values.length) {
        problems.ofRow(file, name, row, "a bag must end after it begins, and in the file", end);
        continue;
      }
      longest = Math.max(longest, end - start);
      for (let i = start; i < end; i++) {
        const value = values[i]!;
        if (!(value >= 0 && value < size)) {
          problems.ofRow(file, name, row, `values must be from 0 to ${size - 1}`, value);
        } else if (lastRow[value] === row + 1) {
          problems.ofRow(file, name, row, "values of a bag must differ", value);
        } else {
          lastRow[value] = row + 1;
          counted[value]! += weights ? fromHalves(weights, row) : 1;
        }
      }
    }
  });
  problems.ofCount("manifest.json", `the longest bag of "${name}"`, feature.longest, longest);
  checkCounts(check, feature, counted, missing);
}

function checkCounts(
  { data, problems }: Check,
  { name, missing: given }: Feature,
  counted: Float64Array,
  missing: number,
): void {
  problems.ofCount("manifest.json", `rows without "${name}"`, given, missing);
  const stored = halvesOf(data.vocabularyCounts(name));
  for (let value = 0; value < counted.length; value++) {
    if (fromHalves(stored, value) === counted[value]) continue;
    const got = `${fromHalves(stored, value)}, counted ${counted[value]}`;
    const rule = "must be the events that have the value";
    problems.ofRow(vocabularyFile(name), "count", value, rule, got);
  }
}
