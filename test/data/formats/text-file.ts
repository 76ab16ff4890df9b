import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestFn } from "ava";

/** Writes files for the tests of a file; they go when the tests are over. */
export function textFiles(
  test: TestFn,
): (content: string | Uint8Array, name?: string) => Promise<string> {
  let folder: Promise<string> | undefined;
  let files = 0;
  test.after.always(async () => {
    if (folder !== undefined) await rm(await folder, { recursive: true });
  });
  return async (content, name = "raw.txt") => {
    folder ??= mkdtemp(join(tmpdir(), "user-llm-formats-"));
    const path = join(await folder, `${files++}-${name}`);
    await writeFile(path, content);
    return path;
  };
}

/** An error's message, without the folder of the file and the number in front of its name. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.replace(/\S*[/\\]\d+-/g, "") : String(error);
}
