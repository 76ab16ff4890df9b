import type { ReaderOptions, RowReader } from "../formats/row.js";
import type { Table } from "../source.js";

/** One table of several files, at least one. */
export function tableOfFiles<Mapping>(
  paths: readonly string[],
  mapping: Mapping,
  open: (path: string, options: ReaderOptions) => Promise<RowReader>,
): Table<Mapping> {
  const [first, ...further] = paths.map((path) => (options: ReaderOptions) => open(path, options));
  return { open: first!, further, mapping };
}
