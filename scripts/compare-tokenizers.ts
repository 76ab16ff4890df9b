/**
 * Compares tokenizers with Hugging Face's library on random texts and ids:
 *
 *     python scripts/goldens-tokenizers.py --random 3000 FOLDER
 *     node --import=tsx scripts/compare-tokenizers.ts FOLDER
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer } from "../src/tokenizers/index.js";

interface Expected {
  folder: string;
  texts: { text: string; ids: number[]; plain: number[]; decoded: string }[];
  decodes: { ids: number[]; skipped: string; kept: string }[];
}

const [folder = "."] = process.argv.slice(2);
for (const name of readdirSync(folder)) {
  const expected = JSON.parse(readFileSync(join(folder, name), "utf8")) as Expected;
  const tokenizer = await Tokenizer.load(expected.folder);
  const differences: [unknown, unknown, unknown][] = [];
  const compare = (given: unknown, got: unknown, wanted: unknown): void => {
    if (JSON.stringify(got) !== JSON.stringify(wanted)) differences.push([given, got, wanted]);
  };
  for (const { text, ids, plain, decoded } of expected.texts) {
    compare(text, Array.from(tokenizer.encode(text)), ids);
    compare(text, Array.from(tokenizer.encode(text, { specialTokens: false })), plain);
    compare(ids, tokenizer.decode(ids), decoded);
  }
  for (const { ids, skipped, kept } of expected.decodes) {
    compare(ids, tokenizer.decode(ids), skipped);
    compare(ids, tokenizer.decode(ids, { skipSpecialTokens: false }), kept);
  }
  const count = 3 * expected.texts.length + 2 * expected.decodes.length;
  console.log(`${name}: ${differences.length} of ${count} differ`);
  for (const [given, got, wanted] of differences.slice(0, 3)) {
    console.log(`  ${JSON.stringify(given)}\n    ours   ${JSON.stringify(got)}`);
    console.log(`    theirs ${JSON.stringify(wanted)}`);
  }
  if (differences.length > 0) process.exitCode = 1;
}
