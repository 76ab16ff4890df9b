import { DataError, UsageError } from "../../errors.js";
import { Dictionary } from "../dictionary.js";
import type { Feature } from "../feature.js";
import type { PreparedFile } from "../manifest.js";
import type { ArrowColumn, TextColumn } from "../prepared/arrow-table.js";
import { closeTables, openTable, type PreparedTable, schemas } from "../prepared/open-files.js";
import type { Bags } from "../prepared/prepared-data.js";
import { vocabularyFile } from "../prepared/read-manifest.js";
import { forRowBlocks } from "../prepared/row-blocks.js";

/** What {@link Catalogue.open} is told of the files. */
export interface CatalogueFiles {
  /** As `writeCatalogue` gave them. */
  readonly files: readonly PreparedFile[];
  /** The features that were chosen. */
  readonly features: readonly Feature[];
}

/**
 * What the numbers of prepared data stand for, without its users and events: items with their features, and values of
 * features. Mapped, as `PreparedData` is; close it.
 */
export class Catalogue implements Disposable {
  readonly items: number;

  private constructor(
    readonly features: readonly Feature[],
    readonly tables: ReadonlyMap<string, PreparedTable>,
  ) {
    this.items = this.#texts("id").rows;
  }

  /** @throws DataError when the files are not those that were written */
  static async open(folder: string, { files, features }: CatalogueFiles): Promise<Catalogue> {
    const expected = new Map([
      ["items.arrow", schemas.items(features)],
      ...features.map((each) => [vocabularyFile(each.name), schemas.vocabulary(each)] as const),
    ]);
    const tables = new Map<string, PreparedTable>();
    try {
      for (const file of files)
        tables.set(file.name, await openTable(folder, file, expected.get(file.name)!));
      return new Catalogue(features, tables);
    } catch (error) {
      closeTables(tables);
      throw error;
    }
  }

  /** The item's name in the source. */
  itemId(item: number): string {
    return this.#texts("id").text(item);
  }

  /** What the item is called; undefined where the source did not say. */
  title(item: number): string | undefined {
    const titles = this.#texts("title");
    return titles.isNull(item) ? undefined : titles.text(item);
  }

  /** An index for each item of its value of a single-valued feature; -1 where it has none. */
  itemColumn(name: string): Int32Array {
    const column = this.#column("items.arrow", name);
    if (column.type !== "int32") throw new UsageError(`"${name}" is a ${column.type} of items`);
    return column.values;
  }

  /** A bag for each item. */
  bag(name: string): Bags {
    const column = this.#column("items.arrow", name);
    if (column.type !== "bag") throw new UsageError(`"${name}" is a ${column.type} of items`);
    return column;
  }

  /**
   * All names of items, to be found by them.
   *
   * @throws DataError when one is there twice
   */
  async itemIds(): Promise<Dictionary> {
    const ids = this.#texts("id");
    const rows = new Dictionary();
    await forRowBlocks(
      ids.rows,
      "reading ids of items",
      {},
      (from, to) => {
        for (let row = from; row < to; row++)
          if (rows.index(ids.text(row)) !== row)
            throw new DataError(`${ids.where}, row ${row}: its id is there twice`);
      },
      1 << 13,
    );
    return rows;
  }

  /** The values of a feature by their indices: numbers for an ordinal one, names for the others. */
  vocabulary(name: string): readonly string[] | Float64Array {
    const column = this.#column(vocabularyFile(name), "value");
    if (column.type === "float64") return column.values;
    const { texts } = column as { texts: TextColumn };
    return Array.from({ length: texts.rows }, (_, row) => texts.text(row));
  }

  /** Unmaps the files. */
  close(): void {
    closeTables(this.tables);
  }

  /** As {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #texts(name: "id" | "title"): TextColumn {
    return (this.#column("items.arrow", name) as { texts: TextColumn }).texts;
  }

  #column(file: string, name: string): ArrowColumn {
    const column = this.tables.get(file)?.columns.get(name);
    if (column === undefined) throw new UsageError(`there is no feature "${name}" of that kind`);
    return column;
  }
}
