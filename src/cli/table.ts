import { count, visible, width } from "./text.js";

/** A cell. Numbers are written with thousands separators; they and texts like `1.70 %` are aligned right. */
export type Cell = string | number | undefined;

export interface TableOptions {
  /** Over the columns. */
  header?: readonly string[] | undefined;
  /** Before every line. Default: none. */
  indent?: string | undefined;
}

const numeric = /^-?[\d.,]+( %)?$/;

/** Rows as aligned columns, without frames, two spaces apart. */
export function table(rows: readonly (readonly Cell[])[], options: TableOptions = {}): string {
  const { header, indent = "" } = options;
  const texts = rows.map((row) => row.map(write));
  const lines = header === undefined ? texts : [header.map(visible), ...texts];
  const columns = Math.max(0, ...lines.map((line) => line.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...lines.map((line) => width(line[column] ?? ""))),
  );
  const right = widths.map((_, column) => {
    const filled = texts.map((row) => row[column] ?? "").filter((text) => text !== "");
    return filled.length > 0 && filled.every((text) => numeric.test(text));
  });
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
