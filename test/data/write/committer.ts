/**
 * Replaces a prepared folder over and over, until it is killed: every generation holds its number in two files.
 *
 *     node --import=tsx test/data/write/committer.ts <folder>
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { partialFolder } from "../../../src/data/write/partial-folder.js";

export async function writeGeneration(folder: string, generation: number): Promise<void> {
  const names = ["events.arrow", "users.arrow"];
  for (const name of names) await writeFile(join(folder, name), `${generation}`);
  const files = names.map((name) => ({ name }));
  await writeFile(
    join(folder, "manifest.json"),
    JSON.stringify({ format: "user-llm-data", version: 1, generation, files }),
  );
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) {
  for (let generation = 1; ; generation++) {
    const partial = await partialFolder(process.argv[2]!, { overwrite: true });
    await writeFile(join(partial.scratch, "spool"), "temporary");
    await writeGeneration(partial.data, generation);
    await partial.commit();
    if (generation === 1) process.send!("going");
  }
}
