/** Reading of `manifest.json`. Nothing in it is trusted. */
import { DataError } from "../../errors.js";
import { type Feature, featureNameFault } from "../feature.js";
import { Place, shown } from "../files/json-place.js";
import { formatVersion, type Manifest, type PreparedFile } from "../manifest.js";

const kinds = ["id", "categorical", "ordinal", "bag", "text"] as const;

/** Name of the file of a feature's values. */
export const vocabularyFile = (feature: string): string => `vocab-${feature}.arrow`;

/**
 * The manifest that a text is; keys that it should not have are left out.
 *
 * @param path for messages
 * @throws DataError naming the key
 */
export function parseManifest(path: string, text: string): Manifest {
  const top = Place.parse(path, text);
  const format = top.get("format").text();
  if (format !== "user-llm-data") {
    throw new DataError(`${path}: "format" must be "user-llm-data", got ${shown(format)}`);
  }
  const version = top.get("version").count();
  if (version > formatVersion) {
    throw new DataError(
      `${path}: made by a newer version of user-llm (format ${version}, this one reads ${formatVersion}); update user-llm`,
    );
  }
  if (version !== formatVersion) {
    throw new DataError(`${path}: format ${version} is not read any more; prepare the data again`);
  }
  const manifest: Manifest = {
    format,
    version,
    source: sourceOf(top.get("source")),
    counts: countsOf(top.get("counts")),
    clock: clockOf(top.get("clock")),
    titles: titlesOf(top.get("titles")),
    features: top.get("features").list().map(featureOf),
    dropped: top
      .get("dropped")
      .list()
      .map((place) => ({
        rule: place.get("rule").text(),
        rows: place.get("rows").count(),
        first: place.get("first").text(),
      })),
    files: top.get("files").list().map(fileOf),
  };
  checkTogether(path, manifest);
  return manifest;
}

function sourceOf(place: Place): Manifest["source"] {
  return {
    name: place.get("name").text(),
    title: place.get("title").text(),
    licence: place.get("licence").orNull((value) => value.text()),
    citation: place.get("citation").orNull((value) => value.text()),
    files: place
      .get("files")
      .list()
      .map((file) => ({
        name: file.get("name").text(),
        bytes: file.get("bytes").count(),
        sha256: file.get("sha256").hash(),
      })),
  };
}

function countsOf(place: Place): Manifest["counts"] {
  return {
    events: place.get("events").count(),
    users: place.get("users").count(),
    items: place.get("items").count(),
    itemsWithoutEvents: place.get("itemsWithoutEvents").count(),
    itemsWithoutMetadata: place.get("itemsWithoutMetadata").count(),
    repeatedItems: place.get("repeatedItems").count(),
  };
}

function clockOf(place: Place): Manifest["clock"] {
  return {
    kind: place.get("kind").oneOf(["time", "position"]),
    first: place.get("first").orNull((value) => value.integer()),
    last: place.get("last").orNull((value) => value.integer()),
    tiedEvents: place.get("tiedEvents").count(),
    usersWithTiedLast: place.get("usersWithTiedLast").count(),
  };
}

function titlesOf(place: Place): Manifest["titles"] {
  return {
    missing: place.get("missing").count(),
    shared: place.get("shared").count(),
    itemsSharing: place.get("itemsSharing").count(),
  };
}

function featureOf(place: Place): Feature {
  const name = place.get("name").text();
  if (featureNameFault(name) !== undefined) place.get("name").fail("the name of a feature");
  return {
    name,
    kind: place.get("kind").oneOf(kinds),
    of: place.get("of").oneOf(["event", "item"]),
    size: place.get("size").count(),
    missing: place.get("missing").count(),
    longest: place.get("longest").count(),
  };
}

function fileOf(place: Place): PreparedFile {
  return {
    name: place.get("name").text(),
    rows: place.get("rows").count(),
    bytes: place.get("bytes").count(),
    sha256: place.get("sha256").hash(),
  };
}

/** What one part of a manifest says about another. */
function checkTogether(path: string, { counts, features, files }: Manifest): void {
  const fail = (rule: string): never => {
    throw new DataError(`${path}: ${rule}`);
  };
  const names = features.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) fail(`feature "${twice}" is there twice`);
  for (const { name, of, missing } of features) {
    const rows = of === "event" ? counts.events : counts.items;
    if (missing > rows) fail(`feature "${name}" is missing in ${missing} of ${rows} ${of}s`);
  }

  const expected = new Map([
    ["items.arrow", counts.items],
    ["users.arrow", counts.users],
    ["events.arrow", counts.events],
  ]);
  for (const { name, kind, size } of features) {
    if (kind !== "text") expected.set(vocabularyFile(name), size);
  }
  for (const { name, rows } of files) {
    const wanted = expected.get(name);
    if (wanted === undefined)
      fail(`"files" names ${shown(name)}, which is not a file of such data or is there twice`);
    if (rows !== wanted) fail(`${name} has ${rows} rows in "files" and ${wanted} elsewhere`);
    expected.delete(name);
  }
  for (const name of expected.keys()) fail(`"files" lacks ${name}`);
}
