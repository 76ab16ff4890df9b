import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LongCall } from "../../progress.js";
import type { Collected } from "../collect/collected.js";
import { fileFault } from "../files/file-fault.js";
import { syncPath } from "../files/sync-path.js";
import { formatVersion, type Manifest, type PreparedFile } from "../manifest.js";
import type { Source } from "../source.js";
import { type EventsSummary, writeEvents } from "./write-events.js";
import { writeItems, writeUsers, writeVocabulary } from "./write-tables.js";

/**
 * Writes what was collected as a prepared folder. Whoever calls keeps the folder private until this settles; see
 * `partialFolder`.
 *
 * @param folder an empty folder
 * @throws DataError when a file cannot be written, or a column is too large for the format
 */
export async function writePrepared(
  folder: string,
  source: Source,
  collected: Collected,
  options: LongCall = {},
): Promise<Manifest> {
  const items = await writeItems(folder, collected, options);
  const { file: events, ...summary } = await writeEvents(folder, collected, options);
  const users = await writeUsers(folder, collected, summary.historyLengths, options);
  const files: PreparedFile[] = [items, users, events];
  for (const vocabulary of collected.vocabularies) {
    files.push(await writeVocabulary(folder, vocabulary, options));
  }
  const manifest = manifestOf(source, collected, summary, files);
  await writeManifest(folder, manifest);
  return manifest;
}

function manifestOf(
  source: Source,
  collected: Collected,
  summary: Omit<EventsSummary, "file">,
  files: readonly PreparedFile[],
): Manifest {
  const { items, users } = collected;
  return {
    format: "user-llm-data",
    version: formatVersion,
    source: {
      name: source.name,
      title: source.title,
      licence: source.licence ?? null,
      citation: source.citation ?? null,
      files: collected.files.map(({ name, bytes, sha256 }) => ({ name, bytes, sha256 })),
    },
    counts: {
      events: collected.events,
      users: users.size,
      items: items.ids.length,
      itemsWithoutEvents: items.counts.reduce((sum, events) => sum + (events === 0 ? 1 : 0), 0),
      itemsWithoutMetadata: items.withoutMetadata,
      repeatedItems: items.repeated,
    },
    clock: {
      kind: collected.clock,
      first: summary.first,
      last: summary.last,
      tiedEvents: summary.tiedEvents,
      usersWithTiedLast: summary.usersWithTiedLast,
    },
    titles: titlesOf(items.titles),
    features: collected.features.map(({ name, kind, of, size, missing, longest }) => ({
      name,
      kind,
      of,
      size,
      missing,
      longest,
    })),
    dropped: collected.dropped.map(({ rule, rows, first }) => ({ rule, rows, first })),
    files,
  };
}

function titlesOf(titles: readonly (string | undefined)[]): Manifest["titles"] {
  const items = new Map<string, number>();
  let missing = 0;
  for (const title of titles) {
    if (title === undefined) missing++;
    else items.set(title, (items.get(title) ?? 0) + 1);
  }
  let shared = 0;
  let itemsSharing = 0;
  for (const count of items.values()) {
    if (count === 1) continue;
    shared++;
    itemsSharing += count;
  }
  return { missing, shared, itemsSharing };
}

async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  const path = join(folder, "manifest.json");
  try {
    await writeFile(path, `${JSON.stringify(manifest, undefined, 2)}\n`, { flag: "wx" });
    await syncPath(path);
    await syncPath(folder);
  } catch (error) {
    throw fileFault(error, path, "write");
  }
}
