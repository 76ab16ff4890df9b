/** Text for people. */

/** Names of any origin as one line without control characters. */
export const plain = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ");

/** `13,812,345` */
export const count = (value: number): string => value.toLocaleString("en-GB");

/** `13,812 users`, `1 user` */
export const counted = (value: number, noun: string): string =>
  `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

/** Lines whose cells stand under each other: the first column to the left, the others to the right. */
export function columns(rows: readonly (readonly string[])[]): string {
  const most = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: most }, (_, i) =>
    Math.max(...rows.map((row) => row[i]?.length ?? 0)),
  );
  const lines = rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("   ")
      .trimEnd(),
  );
  return `${lines.join("\n")}\n`;
}
