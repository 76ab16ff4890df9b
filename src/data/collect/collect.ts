import { DataError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import type { Feature } from "../feature.js";
import type { EventSorter } from "../sort/sorter.js";
import type { Spool } from "../sort/spool.js";
import type { Source } from "../source.js";
import { catalogueOf } from "./catalogue.js";
import { checkFeatures } from "./check-features.js";
import type { Collected, SourceFile, Vocabulary } from "./collected.js";
import { EventBag, type EventFeature, EventSingle, EventText } from "./event-features.js";
import { Events } from "./events.js";
import { Items } from "./items.js";
import { type ErrorPolicy, Problems } from "./problems.js";
import { readTable } from "./read-table.js";
import { type Arranged, arrange, eventVocabulary } from "./vocabularies.js";

export interface CollectOptions extends LongCall {
  /** Rows that cannot be read: `fail` (default) stops at the first, `skip` leaves them out and counts them. */
  onError?: ErrorPolicy | undefined;
  /** A sorter for events of so many columns. */
  openSorter: (columns: number) => Promise<EventSorter>;
  /** A spool for the texts or bags of a feature. */
  openSpool: (kind: Spool["kind"], feature: string) => Promise<Spool>;
}

/**
 * Reads a source: its items table, then its events, encoded as numbers on their way to the sorter. Sorter and spools
 * are the caller's to close; when this fails they are closed already.
 *
 * @throws RowError at the first row that cannot be read, unless bad rows are skipped
 * @throws DataError when no row is left
 * @throws ConfigError when the features' names do not fit a prepared folder
 */
export async function collect(source: Source, options: CollectOptions): Promise<Collected> {
  checkFeatures(source);
  const problems = new Problems(options.onError ?? "fail");
  const opened: { close(): Promise<void> }[] = [];
  try {
    const items = new Items(source.items?.mapping, problems);
    const files = await readItems(source, items, problems, options);
    const fromTable = source.items === undefined ? undefined : items.ids.size;
    const events = await openEvents(source, items, problems, options, opened);
    files.push(...(await readEvents(source, events, problems, options)));
    items.fill();
    return await finish(source, items, fromTable, events, files);
  } catch (error) {
    for (const resource of opened) await resource.close();
    throw error;
  }
}

async function readItems(
  source: Source,
  items: Items,
  problems: Problems,
  call: LongCall,
): Promise<SourceFile[]> {
  const { items: table } = source;
  if (table === undefined) return [];
  const files = await readTable(table, problems, call, (reader) =>
    items.visitor(reader, table.mapping),
  );
  if (items.ids.size === 0) throw noRows(source, "items", problems);
  return files;
}

async function readEvents(
  source: Source,
  events: Events,
  problems: Problems,
  call: LongCall,
): Promise<SourceFile[]> {
  const files = await readTable(source.events, problems, call, (reader) => events.visitor(reader));
  await events.flush();
  if (events.count === 0) throw noRows(source, "events", problems);
  return files;
}

async function openEvents(
  source: Source,
  items: Items,
  problems: Problems,
  { openSorter, openSpool }: CollectOptions,
  opened: { close(): Promise<void> }[],
): Promise<Events> {
  const note = <T extends { close(): Promise<void> }>(resource: T) => {
    opened.push(resource);
    return resource;
  };
  const { mapping } = source.events;
  const features: EventFeature[] = [];
  for (const [name, feature] of Object.entries(mapping.features)) {
    if (feature.kind === "bag") {
      features.push(new EventBag(name, feature, note(await openSpool("bag", name))));
    } else if (feature.kind === "text") {
      features.push(new EventText(name, feature, note(await openSpool("text", name))));
    } else {
      features.push(new EventSingle(name, feature));
    }
  }
  const columns = 1 + features.filter((feature) => feature instanceof EventSingle).length;
  const sorter = note(await openSorter(columns));
  return new Events(mapping, items.ids, features, sorter, problems);
}

async function finish(
  source: Source,
  items: Items,
  fromTable: number | undefined,
  events: Events,
  files: readonly SourceFile[],
): Promise<Collected> {
  const itemCounts = events.itemCounts.toArray(items.ids.size);
  const catalogue = await catalogueOf(items, itemCounts, fromTable, source.catalogue);
  const orders = new Map<string, Arranged>();
  const vocabularies: Vocabulary[] = [];
  for (const feature of events.features) {
    if (feature.kind === "text") continue;
    const order = await arrange(feature.values, feature.kind);
    orders.set(feature.name, order);
    vocabularies.push(eventVocabulary(feature.name, order, feature.counts));
  }
  return {
    sorter: events.sorter,
    events: events.count,
    clock: source.events.mapping.time === undefined ? "position" : "time",
    remaps: [catalogue.remap, ...events.singles.map(({ name }) => orders.get(name)!.remap)],
    spools: new Map(events.spooled.map(({ name, spool }) => [name, spool])),
    users: events.users,
    items: catalogue.items,
    features: [...events.features.map(declared), ...catalogue.features],
    vocabularies: [...vocabularies, ...catalogue.vocabularies],
    dropped: events.problems.dropped,
    files,
  };
}

function declared({ name, kind, values, missing, longest }: EventFeature): Feature {
  return { name, kind, of: "event", size: values?.size ?? 0, missing, longest };
}

function noRows({ title }: Source, table: string, { dropped }: Problems): DataError {
  const [first] = dropped;
  const why = first === undefined ? "" : `; the first problem: ${first.first}`;
  return new DataError(`${title}: no ${table} that can be used${why}`);
}
