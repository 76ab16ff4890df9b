import type { LongCall } from "../../progress.js";
import { gpt2 } from "../pipeline/pattern.js";
import { Turns } from "../turns.js";

const words = new RegExp(gpt2, "gu");

/** Matches between two looks at the clock. */
const matchesAtOnce = 1000;
/** Parts of a text that are at least so long keep all of it in memory. */
const slicedLength = 13;

/** How often each word comes in the texts, in the order of their first times. */
export async function countWords(
  texts: Iterable<string> | AsyncIterable<string>,
  { signal, onProgress }: LongCall,
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const turns = new Turns(signal);
  let bytes = 0;
  for await (const text of texts) {
    let matches = 0;
    for (const [word] of text.matchAll(words)) {
      const count = counts.get(word);
      if (count === undefined) counts.set(word.length < slicedLength ? word : copyOf(word), 1);
      else counts.set(word, count + 1);
      if (++matches % matchesAtOnce === 0 && turns.over) await turns.next();
    }
    bytes += Buffer.byteLength(text);
    onProgress?.({ task: "counting words", done: bytes, unit: "bytes" });
    if (turns.over) await turns.next();
  }
  return counts;
}

const copyOf = (text: string): string => Buffer.from(text, "utf16le").toString("utf16le");
