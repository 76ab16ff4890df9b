import { UsageError } from "../../errors.js";
import { type DownloadableDataset, downloadableDatasets } from "./datasets.js";

export interface PartOptions {
  /** Of Amazon: `Gift_Cards`. */
  category?: string | undefined;
  /** Of Google Local: `New_York`. */
  state?: string | undefined;
}

/** The data set of that name. @throws UsageError naming those there are */
export function datasetNamed(name: string): DownloadableDataset {
  const dataset = downloadableDatasets.find((one) => one.name === name);
  if (dataset !== undefined) return dataset;
  const names = downloadableDatasets.map((one) => one.name).join(", ");
  throw new UsageError(`no data set is called "${name}"; there are ${names}`);
}

/** The part that the options pick, as its publisher spells it; empty where the set is published whole. */
export function partOf(dataset: DownloadableDataset, options: PartOptions): string {
  const { name, parts } = dataset;
  for (const option of ["category", "state"] as const) {
    if (options[option] !== undefined && option !== parts?.option) {
      throw new UsageError(`${name} has no ${option} to choose`);
    }
  }
  if (parts === undefined) return "";
  const wanted = options[parts.option];
  const found = parts.names.find((part) => spelling(part) === spelling(wanted ?? ""));
  if (found !== undefined) return found;
  const problem =
    wanted === undefined ? `needs a ${parts.option}` : `has no ${parts.option} "${wanted}"`;
  throw new UsageError(`${name} ${problem}; there are ${parts.names.join(", ")}`);
}

/** `New York`, `new-york` and `New_York` are one. */
function spelling(part: string): string {
  return part.toLowerCase().replace(/[^a-z0-9]+/g, "_");
}
