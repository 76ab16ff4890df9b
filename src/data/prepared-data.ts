import { createHash } from "node:crypto";
import { join } from "node:path";
import { DataError, UsageError } from "../errors.js";
import type { ArrowColumn, TextColumn } from "./arrow-table.js";
import { Dictionary } from "./dictionary.js";
import type { Feature } from "./feature.js";
import type { Manifest, PreparedFile } from "./manifest.js";
import { openTable, readManifest, schemas } from "./prepared-data-files.js";
import { vocabularyFile } from "./prepared-data-manifest.js";

/** Bags of a column: row i has `values[offsets[i] ... offsets[i + 1])`. */
export interface Bags {
  readonly offsets: Int32Array;
  readonly values: Int32Array;
}

interface Tables {
  readonly items: ReadonlyMap<string, ArrowColumn>;
  readonly users: ReadonlyMap<string, ArrowColumn>;
  readonly events: ReadonlyMap<string, ArrowColumn>;
  /** By feature. */
  readonly vocabularies: ReadonlyMap<string, ReadonlyMap<string, ArrowColumn>>;
}

/**
 * A folder that `prepare` wrote, mapped into memory. Opening it costs the same for a thousand events as for twenty
 * million: columns are the pages of the files, texts are decoded when they are asked for.
 *
 * The arrays are views of those pages: read them, do not write. What an open checks is that every array lies inside its
 * file; the values themselves are checked by {@link validate}.
 */
export class PreparedData {
  /** Rows of events where each user begins, then the number of events: `[users + 1]`. */
  readonly userOffsets: Float64Array;
  #tables: Tables | undefined;
  readonly #vocabularies = new Map<string, readonly string[] | Float64Array>();
  readonly #rowsById = new Map<"users" | "items", Dictionary>();

  private constructor(
    readonly folder: string,
    readonly manifest: Manifest,
    tables: Tables,
  ) {
    this.#tables = tables;
    this.userOffsets = offsetsOf(folder, manifest, tables.users);
  }

  /**
   * @throws DataError when the folder is not prepared data of this version, or its files are not those of the manifest
   */
  static async open(folder: string): Promise<PreparedData> {
    const manifest = await readManifest(folder);
    const { features, clock } = manifest;
    const files = new Map(manifest.files.map((file) => [file.name, file]));
    const open = (name: string, expected: ReturnType<typeof schemas.users>) =>
      openTable(folder, files.get(name) as PreparedFile, expected);

    const vocabularies = new Map<string, ReadonlyMap<string, ArrowColumn>>();
    for (const feature of features) {
      if (feature.kind === "text") continue;
      const { name } = feature;
      vocabularies.set(name, await open(vocabularyFile(name), schemas.vocabulary(feature)));
    }
    return new PreparedData(folder, manifest, {
      items: await open("items.arrow", schemas.items(features)),
      users: await open("users.arrow", schemas.users()),
      events: await open("events.arrow", schemas.events(features, clock.kind)),
      vocabularies,
    });
  }

  get users(): number {
    return this.manifest.counts.users;
  }

  get items(): number {
    return this.manifest.counts.items;
  }

  get events(): number {
    return this.manifest.counts.events;
  }

  /** Every feature but the item itself. */
  get features(): readonly Feature[] {
    return this.manifest.features;
  }

  /** SHA-256 of the data: equal for two folders exactly when their Arrow files are equal. */
  get fingerprint(): string {
    const hash = createHash("sha256");
    const files = [...this.manifest.files].sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const { name, sha256 } of files) hash.update(`${name} ${sha256}\n`);
    return hash.digest("hex");
  }

  /** @throws UsageError when there is no such feature */
  feature(name: string): Feature {
    const found = this.features.find((feature) => feature.name === name);
    if (found !== undefined) return found;
    const names = this.features.map((feature) => feature.name).join(", ") || "none";
    throw new UsageError(`${this.folder} has no feature "${name}"; it has ${names}`);
  }

  /** An index for each event: of its item (`item`), or of its value of a single-valued feature; -1 where it has none. */
  column(name: string): Int32Array {
    if (name === "item") return this.#int32("events", name);
    this.#expect(name, "event", ["id", "categorical", "ordinal"]);
    return this.#int32("events", name);
  }

  /** When each event happened, in milliseconds since 1970 or as positions; see `manifest.clock`. */
  times(): BigInt64Array {
    return this.#int64("events", this.manifest.clock.kind);
  }

  /** The bags of a feature: a row for each event or each item, as the feature is of. */
  bag(name: string): Bags {
    const { of } = this.#expect(name, undefined, ["bag"]);
    const column = this.#open()[`${of}s`].get(name);
    if (column?.type !== "bag") throw this.#wrongColumn(name);
    return column;
  }

  /** An index for each item of its value of a single-valued feature; -1 where it has none. */
  itemColumn(name: string): Int32Array {
    this.#expect(name, "item", ["id", "categorical", "ordinal"]);
    return this.#int32("items", name);
  }

  /** The text of an event or an item, as the feature is of; empty where there is none. */
  text(name: string, row: number): string {
    const { of } = this.#expect(name, undefined, ["text"]);
    return this.#text(`${of}s`, name, row);
  }

  /** The item's name in the source. */
  itemId(item: number): string {
    return this.#text("items", "id", item);
  }

  title(item: number): string | undefined {
    const titles = this.#texts("items", "title");
    const text = this.#text("items", "title", item);
    return titles.isNull(item) ? undefined : text;
  }

  /** The user's name in the source. */
  userId(user: number): string {
    return this.#text("users", "id", user);
  }

  /** The user of that name. The first call reads all names. */
  findUser(id: string): number | undefined {
    return this.#find("users", id);
  }

  /** The item of that name. The first call reads all names. */
  findItem(id: string): number | undefined {
    return this.#find("items", id);
  }

  /** How many events each item has. */
  itemEvents(): BigInt64Array {
    return this.#int64("items", "events");
  }

  /** The values of a feature by their indices: numbers for an ordinal one, names for the others. */
  vocabulary(name: string): readonly string[] | Float64Array {
    const column = this.#vocabularyColumn(name, "value");
    if (column.type === "float64") return column.values;
    let names = this.#vocabularies.get(name);
    if (names === undefined) {
      const texts = textsOf(column);
      names = Array.from({ length: texts.rows }, (_, row) => texts.text(row));
      this.#vocabularies.set(name, names);
    }
    return names;
  }

  /** How many events have each value of a feature. */
  vocabularyCounts(name: string): BigInt64Array {
    const column = this.#vocabularyColumn(name, "count");
    if (column.type !== "int64") throw this.#wrongColumn(name);
    return column.values;
  }

  /**
   * A column as its file has it: for checks and exports.
   *
   * @param file a file of the manifest
   */
  columnOf(file: string, name: string): ArrowColumn {
    const { items, users, events, vocabularies } = this.#open();
    const tables = new Map(
      [...vocabularies].map(([feature, table]) => [vocabularyFile(feature), table]),
    );
    tables.set("items.arrow", items).set("users.arrow", users).set("events.arrow", events);
    const column = tables.get(file)?.get(name);
    if (column === undefined)
      throw new UsageError(`${join(this.folder, file)} has no column "${name}"`);
    return column;
  }

  /** Lets go of the files. Arrays that were handed out stay readable while they are referenced. */
  close(): void {
    this.#tables = undefined;
    this.#vocabularies.clear();
    this.#rowsById.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(): Tables {
    if (this.#tables === undefined)
      throw new UsageError(`${this.folder}: this prepared data was closed`);
    return this.#tables;
  }

  #expect(name: string, of: Feature["of"] | undefined, kinds: readonly Feature["kind"][]): Feature {
    const feature = this.feature(name);
    if (kinds.includes(feature.kind) && (of === undefined || of === feature.of)) return feature;
    const wanted = of === undefined ? kinds.join(" or ") : `${kinds.join(", ")} feature of ${of}s`;
    throw new UsageError(`"${name}" is a ${feature.kind} of ${feature.of}s, expected a ${wanted}`);
  }

  #int32(table: "items" | "events", name: string): Int32Array {
    const column = this.#open()[table].get(name);
    if (column?.type !== "int32") throw this.#wrongColumn(name);
    return column.values;
  }

  #int64(table: "items" | "events", name: string): BigInt64Array {
    const column = this.#open()[table].get(name);
    if (column?.type !== "int64" && column?.type !== "timestamp") throw this.#wrongColumn(name);
    return column.values;
  }

  #texts(table: "items" | "users" | "events", name: string): TextColumn {
    const column = this.#open()[table].get(name);
    if (column === undefined) throw this.#wrongColumn(name);
    return textsOf(column);
  }

  #text(table: "items" | "users" | "events", name: string, row: number): string {
    const texts = this.#texts(table, name);
    if (!(Number.isInteger(row) && row >= 0 && row < texts.rows)) {
      throw new UsageError(`"${name}" of ${table}: row ${row} is not one of ${texts.rows}`);
    }
    return texts.text(row);
  }

  #vocabularyColumn(name: string, column: "value" | "count"): ArrowColumn {
    this.#expect(name, undefined, ["id", "categorical", "ordinal", "bag"]);
    const found = this.#open().vocabularies.get(name)?.get(column);
    if (found === undefined) throw this.#wrongColumn(name);
    return found;
  }

  #find(table: "users" | "items", id: string): number | undefined {
    let rows = this.#rowsById.get(table);
    if (rows === undefined) {
      rows = new Dictionary();
      const { rows: count } = this.#texts(table, "id");
      for (let row = 0; row < count; row++) {
        if (rows.index(this.#text(table, "id", row)) !== row) {
          throw new DataError(
            `${join(this.folder, `${table}.arrow`)}, row ${row}: its id is there twice`,
          );
        }
      }
      this.#rowsById.set(table, rows);
    }
    const row = rows.find(id);
    return row < 0 ? undefined : row;
  }

  /** Cannot happen after {@link open}, which compared the schema with the features. */
  #wrongColumn(name: string): DataError {
    return new DataError(`${this.folder}: column "${name}" is not of its feature's type`);
  }
}

function textsOf(column: ArrowColumn): TextColumn {
  if (column.type !== "name" && column.type !== "text")
    throw new TypeError("not a column of texts");
  return column.texts;
}

/** Where users begin, from their lengths; the offsets of the file must be the same. */
function offsetsOf(folder: string, { counts }: Manifest, users: Tables["users"]): Float64Array {
  const path = join(folder, "users.arrow");
  const lengths = users.get("length");
  const stored = users.get("offset");
  if (lengths?.type !== "int32" || stored?.type !== "int64")
    throw new TypeError("users.arrow was not checked");
  const { buffer, byteOffset } = stored.values;
  const halves = new Uint32Array(buffer, byteOffset, 2 * counts.users);
  const offsets = new Float64Array(counts.users + 1);
  for (let user = 0; user < counts.users; user++) {
    const offset = offsets[user]!;
    const length = lengths.values[user]!;
    const found = halves[2 * user]! + halves[2 * user + 1]! * 2 ** 32;
    if (length < 0 || found !== offset) {
      throw new DataError(
        `${path}, row ${user}: its events are ${length} from ${found}, the user before ends at ${offset}`,
      );
    }
    offsets[user + 1] = offset + length;
  }
  if (offsets[counts.users] !== counts.events) {
    throw new DataError(
      `${path}: its users have ${offsets[counts.users]} events, the manifest says ${counts.events}`,
    );
  }
  return offsets;
}
