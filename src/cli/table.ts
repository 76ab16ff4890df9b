import { count, visible, width } from "./text.js";

/** A cell; numbers are aligned right and written with thousands separators. */
export type Cell = string | number | undefined;

export interface TableOptions {
  /** Over the columns. */
  header?: readonly string[] | undefined;
  /** Before every line. Default: none. */
  indent?: string | undefined;
}

/** Rows as aligned columns, without frames, two spaces apart. */
export function table(rows: readonly (readonly Cell[])[], options: TableOptions = {}): string {
  const { header, indent = "" } = options;
  const texts = rows.map((row) => row.map(write));
  const lines = header === undefined ? texts : [header.map(visible), ...texts];
  const columns = Math.max(0, ...lines.map((line) => line.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...lines.map((line) => width(line[column] ?? ""))),
  );
  const right = widths.map(
    (_, column) =>
      rows.some((row) => typeof row[column] === "number") &&
      rows.every((row) => typeof row[column] !== "string"),
  );
  return lines
    .map((line) => {
      const cells = widths.map((space, column) => {
        const text = line[column] ?? "";
        const padding = " ".repeat(space - width(text));
        return right[column] ? padding + text : text + padding;
      });
      return `${indent}${cells.join("  ").trimEnd()}\n`;
    })
    .join("");
}

function write(cell: Cell): string {
  if (cell === undefined) return "";
  if (typeof cell === "string") return visible(cell);
  return Number.isInteger(cell) ? count(cell) : String(cell);
}
