import { createHash } from "node:crypto";
import { join } from "node:path";
import { DataError, UsageError } from "../../errors.js";
import { Dictionary } from "../dictionary.js";
import type { Feature } from "../feature.js";
import type { Manifest } from "../manifest.js";
import type { ArrowColumn, TextColumn } from "./arrow-table.js";
import { closeTables, openTables, type PreparedTable, readManifest } from "./open-files.js";
import { vocabularyFile } from "./read-manifest.js";
import { fromHalves, halvesOf } from "./row-blocks.js";

/** Bags of a column: row i has `values[offsets[i] ... offsets[i + 1])`. */
export interface Bags {
  readonly offsets: Int32Array;
  readonly values: Int32Array;
}

type Tables = ReadonlyMap<string, PreparedTable>;

/**
 * A folder that `prepare` wrote, mapped into memory. Opening it costs the same for a thousand events as for twenty
 * million: columns are the pages of the files, texts are decoded when they are asked for.
 *
 * The arrays are views of those pages: read them, do not write. What an open checks is that every array lies inside its
 * file; the values themselves are checked by {@link validate}.
 *
 * Methods throw a `UsageError` for a name that is no feature, or a feature of another kind, for the number of a text that is
 * not there, and once the data is closed.
 */
export class PreparedData {
  /** Rows of events where each user begins, then the number of events: `[users + 1]`. */
  readonly userOffsets: Float64Array;
  #tables: Tables | undefined;
  readonly #vocabularies = new Map<string, readonly string[] | Float64Array>();
  readonly #rowsById = new Map<"users.arrow" | "items.arrow", Dictionary>();

  private constructor(
    readonly folder: string,
    readonly manifest: Manifest,
    tables: Tables,
  ) {
    this.#tables = tables;
    this.userOffsets = this.#offsets();
  }

  /**
   * @throws DataError when the folder is not prepared data of this version, or its files are not those of the manifest
   */
  static async open(folder: string): Promise<PreparedData> {
    const manifest = await readManifest(folder);
    const tables = await openTables(folder, manifest);
    try {
      return new PreparedData(folder, manifest, tables);
    } catch (error) {
      closeTables(tables);
      throw error;
    }
  }

  /** How many users there are; they go by number, from 0. */
  get users(): number {
    return this.manifest.counts.users;
  }

  /** How many items there are; they go by number, from 0. */
  get items(): number {
    return this.manifest.counts.items;
  }

  /** How many events there are: rows, by user and time. */
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
    if (name === "item") return this.#int32("events.arrow", name);
    this.#expect(name, "event", ["id", "categorical", "ordinal"]);
    return this.#int32("events.arrow", name);
  }

  /** When each event happened, in milliseconds since 1970 or as positions; see `manifest.clock`. */
  times(): BigInt64Array {
    return this.#int64("events.arrow", this.manifest.clock.kind);
  }

  /** The bags of a feature: a row for each event or each item, as the feature is of. */
  bag(name: string): Bags {
    const { of } = this.#expect(name, undefined, ["bag"]);
    const column = this.columnOf(`${of}s.arrow`, name);
    if (column.type !== "bag") throw this.#wrongColumn(name);
    return column;
  }

  /** An index for each item of its value of a single-valued feature; -1 where it has none. */
  itemColumn(name: string): Int32Array {
    this.#expect(name, "item", ["id", "categorical", "ordinal"]);
    return this.#int32("items.arrow", name);
  }

  /** The text of an event or an item, as the feature is of; empty where there is none. */
  text(name: string, row: number): string {
    const { of } = this.#expect(name, undefined, ["text"]);
    return this.#text(`${of}s.arrow`, name, row);
  }

  /** The item's name in the source. */
  itemId(item: number): string {
    return this.#text("items.arrow", "id", item);
  }

  /** What the item is called; undefined where the source does not say. */
  title(item: number): string | undefined {
    const titles = this.#texts("items.arrow", "title");
    const text = this.#text("items.arrow", "title", item);
    return titles.isNull(item) ? undefined : text;
  }

  /** The user's name in the source. */
  userId(user: number): string {
    return this.#text("users.arrow", "id", user);
  }

  /** The user of that name. The first call reads all names. */
  findUser(id: string): number | undefined {
    return this.#find("users.arrow", id);
  }

  /** The item of that name. The first call reads all names. */
  findItem(id: string): number | undefined {
    return this.#find("items.arrow", id);
  }

  /** How many events each item has. */
  itemEvents(): BigInt64Array {
    return this.#int64("items.arrow", "events");
  }

  /** The values of a feature by their indices: numbers for an ordinal one, names for the others. */
  vocabulary(name: string): readonly string[] | Float64Array {
    const column = this.#vocabularyColumn(name, "value");
    if (column.type === "float64") return column.values;
    if (column.type !== "name") throw this.#wrongColumn(name);
    let names = this.#vocabularies.get(name);
    if (names === undefined) {
      const { texts } = column;
      names = Array.from({ length: texts.rows }, (_, row) => texts.text(row));
      this.#vocabularies.set(name, names);
    }
    return names;
  }

  /** One value of a feature, by its index. */
  value(name: string, index: number): string | number {
    const column = this.#vocabularyColumn(name, "value");
    if (column.type === "float64") return column.values[index]!;
    return this.#text(vocabularyFile(name), "value", index);
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
    const column = this.#open().get(file)?.columns.get(name);
    if (column === undefined)
      throw new UsageError(`${join(this.folder, file)} has no column "${name}"`);
    return column;
  }

  /** Unmaps the files. Arrays that were handed out are empty from then on; loaders go on reading. */
  close(): void {
    if (this.#tables !== undefined) closeTables(this.#tables);
    this.#tables = undefined;
    this.#vocabularies.clear();
    this.#rowsById.clear();
  }

  /** As {@link close}, for `using`. */
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

  #int32(file: string, name: string): Int32Array {
    const column = this.columnOf(file, name);
    if (column.type !== "int32") throw this.#wrongColumn(name);
    return column.values;
  }

  #int64(file: string, name: string): BigInt64Array {
    const column = this.columnOf(file, name);
    if (column.type !== "int64" && column.type !== "timestamp") throw this.#wrongColumn(name);
    return column.values;
  }

  #texts(file: string, name: string): TextColumn {
    const column = this.columnOf(file, name);
    if (column.type !== "name" && column.type !== "text") throw this.#wrongColumn(name);
    return column.texts;
  }

  #text(file: string, name: string, row: number): string {
    const texts = this.#texts(file, name);
    if (!(Number.isInteger(row) && row >= 0 && row < texts.rows)) {
      throw new UsageError(`${file}, column "${name}": row ${row} is not one of ${texts.rows}`);
    }
    return texts.text(row);
  }

  #vocabularyColumn(name: string, column: "value" | "count"): ArrowColumn {
    this.#expect(name, undefined, ["id", "categorical", "ordinal", "bag"]);
    return this.columnOf(vocabularyFile(name), column);
  }

  #find(file: "users.arrow" | "items.arrow", id: string): number | undefined {
    const names = this.#texts(file, "id");
    let rows = this.#rowsById.get(file);
    if (rows === undefined) {
      rows = new Dictionary();
      for (let row = 0; row < names.rows; row++) {
        if (rows.index(names.text(row)) === row) continue;
        throw new DataError(`${join(this.folder, file)}, row ${row}: its id is there twice`);
      }
      this.#rowsById.set(file, rows);
    }
    const row = rows.find(id);
    return row < 0 ? undefined : row;
  }

  /** Cannot happen after {@link open}, which compared the schema with the features. */
  #wrongColumn(name: string): DataError {
    return new DataError(`${this.folder}: column "${name}" is not of its feature's type`);
  }

  /** Where users begin, from their lengths; the offsets of the file must be the same. */
  #offsets(): Float64Array {
    const { users, events } = this;
    const path = join(this.folder, "users.arrow");
    const lengths = this.#int32("users.arrow", "length");
    const stored = halvesOf(this.#int64("users.arrow", "offset"));
    const offsets = new Float64Array(users + 1);
    for (let user = 0; user < users; user++) {
      const begin = offsets[user]!;
      const length = lengths[user]!;
      const found = fromHalves(stored, user);
      if (length < 0 || found !== begin) {
        throw new DataError(
          `${path}, row ${user}: its events are ${length} from ${found}, the user before ends at ${begin}`,
        );
      }
      offsets[user + 1] = begin + length;
    }
    if (offsets[users] === events) return offsets;
    throw new DataError(
      `${path}: its users have ${offsets[users]} events, the manifest says ${events}`,
    );
  }
}
