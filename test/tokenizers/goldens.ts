import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const goldenFolder = fileURLToPath(new URL("../golden/tokenizers", import.meta.url));

/** Folders of `test/golden/tokenizers`, each a tokenizer. */
export const names = [
  "gpt2",
  "prefixed",
  "llama3",
  "qwen2",
  "other-pattern",
  "llama2",
  "metaspace",
  "gemma",
  "unigram",
  "unigram-bytes",
  "word-piece",
  "suffixed",
  "word-level",
] as const;

export interface Expected {
  texts: { text: string; ids: number[]; plain: number[]; decoded: string }[];
  decodes: { ids: number[]; skipped: string; kept: string }[];
}

/** A JSON file of `test/golden/tokenizers`, which scripts/goldens-tokenizers.py wrote. */
export function readGolden<Value>(name: string): Value {
  return JSON.parse(readFileSync(`${goldenFolder}/${name}`, "utf8")) as Value;
}
