import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import { type Manifest, unlistedFiles } from "../manifest.js";
import { readManifest } from "../prepared/open-files.js";
import { PreparedData } from "../prepared/prepared-data.js";
import { type Problem, Problems } from "./problem-list.js";
import { checkContent } from "./validate-content.js";

/**
 * Checks everything that prepared data promises: the bytes of every file against the manifest, then every value of every
 * column, the order of the events, and the counts.
 *
 * @returns all problems, none for valid data. Values are checked only where the files are as the manifest says.
 */
export async function validate(
  folder: string,
  options: LongCall = {},
): Promise<readonly Problem[]> {
  const problems = new Problems();
  const report = (error: unknown): void => {
    if (!(error instanceof DataError)) throw error;
    problems.ofFile(...placeOf(folder, error.message));
  };
  let manifest: Manifest;
  try {
    manifest = await readManifest(folder);
  } catch (error) {
    report(error);
    return problems.list;
  }
  await checkFiles(folder, manifest, problems, options);
  if (problems.list.some(({ what }) => !what.startsWith(orphan))) return problems.list;
  try {
    using data = await PreparedData.open(folder);
    await checkContent(data, problems, options);
  } catch (error) {
    report(error);
  }
  return problems.list;
}

const orphan = "the manifest does not name it";

/** The file that a message of an open is about, and what it says of it. */
function placeOf(folder: string, message: string): [file: string, what: string] {
  const start = join(folder, "/");
  const end = message.indexOf(": ");
  if (!message.startsWith(start) || end < 0) return ["manifest.json", message];
  const [file = ""] = message.slice(start.length, end).split(", ");
  return [file, message.slice(start.length + file.length).replace(/^[:,] /, "")];
}

async function checkFiles(
  folder: string,
  { files }: Manifest,
  problems: Problems,
  { signal, onProgress }: LongCall,
): Promise<void> {
  const named = new Set([...unlistedFiles, ...files.map(({ name }) => name)]);
  for (const name of (await readdir(folder)).sort()) {
    if (!named.has(name)) problems.ofFile(name, orphan);
  }
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  for (const { name, bytes, sha256 } of files) {
    const path = join(folder, name);
    const found = await lstat(path).catch(() => undefined);
    if (found === undefined) problems.ofFile(name, "it is not there");
    else if (!found.isFile()) problems.ofFile(name, "it is not a file itself");
    else if (found.size !== bytes) problems.ofCount(name, "its size in bytes", bytes, found.size);
    else {
      const hash = createHash("sha256");
      for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal })) {
        hash.update(chunk as Buffer);
        done += (chunk as Buffer).length;
        onProgress?.({ task: `checking ${name}`, done, total, unit: "bytes" });
      }
      const counted = hash.digest("hex");
      if (counted !== sha256)
        problems.ofFile(name, `its SHA-256 is ${counted}, the manifest says ${sha256}`);
    }
  }
}
