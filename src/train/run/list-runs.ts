import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileFault } from "../../data/files/file-fault.js";
import { looksLikeRun, type RunSummary, readRunCore } from "./run-summary.js";

/** Folders within folders that are looked at: those of a sweep are one level down. */
const deepest = 4;

/**
 * All runs below a folder, the newest first. Damaged ones are among them.
 *
 * @throws DataError when the folder itself cannot be read
 */
export async function listRuns(folder: string): Promise<RunSummary[]> {
  const names = await namesOfRuns(folder, "", 0);
  const runs: RunSummary[] = [];
  for (const name of names) runs.push((await readRunCore(join(folder, name), name)).summary);
  const time = ({ startedAt }: RunSummary) => startedAt ?? "";
  return runs.sort((a, b) => (time(a) === time(b) ? 0 : time(a) < time(b) ? 1 : -1));
}

async function namesOfRuns(folder: string, below: string, depth: number): Promise<string[]> {
  const place = join(folder, below);
  const entries = await readdir(place, { withFileTypes: true }).catch((error) => {
    if (depth > 0) return [];
    throw fileFault(error, folder, "list the runs");
  });
  const found: string[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const isFolder = entry.isDirectory() || entry.isSymbolicLink();
    if (!isFolder || entry.name.startsWith(".") || entry.name === "node_modules") continue;
    const name = join(below, entry.name);
    if (await looksLikeRun(join(folder, name))) found.push(name);
    else if (depth + 1 < deepest && entry.isDirectory()) {
      found.push(...(await namesOfRuns(folder, name, depth + 1)));
    }
  }
  return found;
}
