import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { ExecutionContext } from "ava";
import { goldenFolder } from "./goldens.js";

/** A parsed file, to change in places that its tests know. */
// biome-ignore lint/suspicious/noExplicitAny: files are broken on purpose, in all ways
export type Json = any;

export async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-tokenizers-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export async function readJson(path: string): Promise<Json> {
  return JSON.parse(await readFile(path, "utf8")) as Json;
}

/** A copy of a golden tokenizer, after changes. Further files are texts by their names. */
export async function changedTokenizer(
  t: ExecutionContext,
  name: string,
  changes: {
    tokenizer?: (file: Json) => void;
    config?: (file: Json) => void;
    files?: Readonly<Record<string, string>>;
  },
): Promise<string> {
  const folder = await temporaryFolder(t);
  const tokenizer = await readJson(join(goldenFolder, name, "tokenizer.json"));
  const config = await readJson(join(goldenFolder, name, "tokenizer_config.json"));
  changes.tokenizer?.(tokenizer);
  changes.config?.(config);
  const files = {
    "tokenizer.json": JSON.stringify(tokenizer),
    "tokenizer_config.json": JSON.stringify(config),
    ...changes.files,
  };
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), text);
  }
  return folder;
}
