import { RowError } from "../../errors.js";
import { Dictionary } from "../dictionary.js";
import type { Row, RowReader } from "../formats/row.js";
import type { ItemsMapping } from "../source.js";
import { type ItemFeature, itemFeature } from "./item-features.js";
import type { Problems } from "./problems.js";
import type { BlockVisitor } from "./read-table.js";
import { Undo } from "./undo.js";
import { readText } from "./values.js";

/** The items: first those of the items table, then those that only events name. */
export class Items {
  readonly ids = new Dictionary();
  readonly titles: (string | undefined)[] = [];
  readonly features: readonly ItemFeature[];
  /** Rows of the table whose item had come before. */
  repeated = 0;
  readonly #undo: Undo;

  constructor(
    readonly mapping: ItemsMapping | undefined,
    readonly problems: Problems,
  ) {
    this.features = Object.entries(mapping?.features ?? {}).map(([name, feature]) =>
      itemFeature(name, feature),
    );
    this.#undo = new Undo([this.ids, ...this.features.flatMap(({ values }) => values ?? [])]);
  }

  /** Reads a file of the items table. */
  visitor(reader: RowReader, { id, title }: ItemsMapping): BlockVisitor {
    const idColumn = reader.column(id);
    const titleOf = titleReader(title, reader);
    for (const feature of this.features) feature.bind(reader);
    return (rows) => {
      for (const row of rows) this.#take(row, idColumn, titleOf);
    };
  }

  /** Gives the items that came after the table empty rows. */
  fill(): void {
    while (this.titles.length < this.ids.size) {
      this.titles.push(undefined);
      for (const feature of this.features) feature.keepNothing();
    }
  }

  #take(row: Row, idColumn: number, titleOf: (row: Row) => string | undefined): void {
    this.#undo.mark();
    try {
      const known = this.ids.size;
      const index = row.index(idColumn, this.ids);
      if (index < 0) throw row.error(idColumn, "expected an item");
      if (index < known) {
        this.repeated++;
        return;
      }
      const title = titleOf(row);
      for (const feature of this.features) feature.read(row);
      this.titles.push(title);
      for (const feature of this.features) feature.keep();
    } catch (error) {
      this.#undo.back();
      if (!(error instanceof RowError)) throw error;
      this.problems.add(error);
    }
  }
}

function titleReader(
  title: ItemsMapping["title"],
  reader: RowReader,
): (row: Row) => string | undefined {
  if (title === undefined) return () => undefined;
  const { column: name, value } =
    typeof title === "object" ? title : { column: title, value: undefined };
  const column = reader.column(name);
  return (row) => {
    const text = readText({ value }, row, column).trim();
    return text === "" ? undefined : text;
  };
}
