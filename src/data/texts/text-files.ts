import { readdir, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { DataError } from "../../errors.js";
import { fileFault, isSystemError } from "../files/file-fault.js";

const isText = /\.(?:txt|jsonl|ndjson)(?:\.gz)?$/i;

/**
 * The files of texts that paths, folders and patterns mean, each once: in the order of the patterns, sorted by name within
 * one. A folder has all its `.txt`, `.jsonl` and `.ndjson` files, as they are or in gzip, and those of the folders in it.
 *
 * @param patterns `*` and `?` stand for characters of a name, `**` for any folders
 * @throws DataError for one that means no file
 */
export async function textFiles(patterns: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  for (const pattern of patterns) {
    const files = await filesOf(pattern);
    if (files.length === 0) throw new DataError(`${pattern}: there is no file of texts`);
    for (const file of files) found.add(file);
  }
  return [...found];
}

async function filesOf(pattern: string): Promise<string[]> {
  const kind = await kindOf(pattern);
  if (kind === "file") return [pattern];
  if (kind === "folder") return (await filesIn(pattern)).filter((file) => isText.test(file));
  const parts = pattern.split(sep === "\\" ? /[\\/]/ : "/");
  const first = parts.findIndex((part) => /[*?]/.test(part));
  if (first < 0) throw new DataError(`${pattern}: there is no such file or folder`);
  const folder = first === 0 ? "." : parts.slice(0, first).join("/") || "/";
  if ((await kindOf(folder)) !== "folder") return [];
  const files = await filesIn(folder);
  const matches = expressionOf(parts.slice(first));
  return files.filter((file) => matches.test(file.slice(join(folder, "x").length - 1)));
}

async function kindOf(path: string): Promise<"file" | "folder" | undefined> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch (error) {
    if (isSystemError(error, "ENOENT") || isSystemError(error, "ENOTDIR")) return undefined;
    throw fileFault(error, path, "read");
  }
}

/** All files below a folder, sorted. */
async function filesIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    const files: string[] = [];
    for (const entry of entries) {
      const path = join(folder, entry.name);
      // A link to a folder could lead in circles.
      if (entry.isDirectory()) files.push(...(await filesIn(path)));
      else if ((await kindOf(path)) === "file") files.push(path);
    }
    return files;
  } catch (error) {
    throw fileFault(error, folder, "read");
  }
}

/** Of a path below the folder that the pattern begins at. */
function expressionOf(parts: readonly string[]): RegExp {
  const sources = parts.map((part, i) => {
    const isLast = i === parts.length - 1;
    if (part === "**") return isLast ? ".*" : "(?:.*[\\\\/])?";
    const name = part.replace(/[.+^${}()|[\]\\]/g, "\\$&");
    const source = name.replaceAll("*", "[^\\\\/]*").replaceAll("?", "[^\\\\/]");
    return isLast ? source : `${source}[\\\\/]`;
  });
  return new RegExp(`^${sources.join("")}$`);
}
