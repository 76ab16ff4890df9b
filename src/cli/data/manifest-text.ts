import type { Manifest } from "../../data/manifest.js";
import { table } from "../table.js";
import { bytes, count, visible } from "../text.js";

/** A prepared folder in a few lines. */
export function describeManifest(folder: string, manifest: Manifest): string {
  const { source, counts, features, dropped, files } = manifest;
  const size = files.reduce((sum, file) => sum + file.bytes, 0);
  const lines = table(
    [
      ["events", counts.events],
      ["users", counts.users],
      ["items", counts.items],
    ],
    { indent: "  " },
  );
  const remarks = [
    counts.itemsWithoutEvents > 0 && `${count(counts.itemsWithoutEvents)} items without events`,
    counts.itemsWithoutMetadata > 0 &&
      `${count(counts.itemsWithoutMetadata)} items that the table of items lacks`,
    counts.repeatedItems > 0 && `${count(counts.repeatedItems)} repeated rows of items`,
    ...features.map(
      ({ name, kind, of, size }) =>
        `${name}: ${kind} of ${of}s${kind === "text" ? "" : `, ${count(size)} values`}`,
    ),
    ...dropped.map(
      ({ rule, rows, first }) => `left out ${count(rows)} rows: ${rule} (first: ${first})`,
    ),
  ].filter((line) => line !== false);
  const title = `${folder}: ${source.title}, ${bytes(size)}`;
  return `${visible(title)}\n${lines}${remarks.map((line) => `  ${visible(line)}\n`).join("")}`;
}
