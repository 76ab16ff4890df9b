/** Reading of `manifest.json`. Nothing in it is trusted. */
import { DataError } from "../../errors.js";
import { type Feature, featureNameFault } from "../feature.js";
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
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new DataError(`${path}: not JSON (${(error as Error).message})`, { cause: error });
  }
  const top = new Place(path, "", json);
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

/** A value of the JSON and where it is. */
export class Place {
  constructor(
    readonly file: string,
    readonly path: string,
    readonly value: unknown,
  ) {}

  get(key: string): Place {
    const { value } = this;
    if (typeof value !== "object" || value === null || Array.isArray(value)) this.fail("an object");
    const path = this.path === "" ? key : `${this.path}.${key}`;
    const inner = Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
    return new Place(this.file, path, inner);
  }

  list(): Place[] {
    const { value } = this;
    if (!Array.isArray(value)) this.fail("a list");
    return value.map((element, i) => new Place(this.file, `${this.path}[${i}]`, element));
  }

  text(): string {
    return typeof this.value === "string" ? this.value : this.fail("a text");
  }

  integer(): number {
    const { value } = this;
    return typeof value === "number" && Number.isSafeInteger(value)
      ? value
      : this.fail("a whole number");
  }

  count(): number {
    const { value } = this;
    return typeof value === "number" && Number.isSafeInteger(value) && value >= 0
      ? value
      : this.fail("a count");
  }

  hash(): string {
    const { value } = this;
    return typeof value === "string" && /^[0-9a-f]{64}$/.test(value)
      ? value
      : this.fail("a SHA-256");
  }

  oneOf<const Name extends string>(names: readonly Name[]): Name {
    const found = names.find((name) => name === this.value);
    return found ?? this.fail(`one of ${names.map((name) => `"${name}"`).join(", ")}`);
  }

  orNull<T>(read: (place: Place) => T): T | null {
    return this.value === null ? null : read(this);
  }

  fail(expected: string): never {
    const what = this.path === "" ? "it must hold" : `"${this.path}" must be`;
    throw new DataError(`${this.file}: ${what} ${expected}, got ${shown(this.value)}`);
  }
}

function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}
