/** Titles that are hard to tell apart. */
import type { LongCall } from "../../progress.js";
import type { PreparedData } from "../prepared/prepared-data.js";
import { forRowBlocks } from "../prepared/row-blocks.js";

/** Titles that are hard to tell apart. */
export interface TitleInfo {
  /** Items without a title. */
  readonly missing: number;
  /** Titles that several items have, and how many items those are. */
  readonly shared: number;
  readonly itemsSharing: number;
  /** Different titles that are equal but for case, spaces and the forms of Unicode. */
  readonly alike: number;
  /** Titles that another one begins with: `Alien` of `Aliens`. */
  readonly prefixes: number;
}

const blockTitles = 4_096;

export async function describeTitles(data: PreparedData, options: LongCall): Promise<TitleInfo> {
  const task = "comparing titles";
  const titles = new Set<string>();
  const byFolded = new Map<string, number>();
  await forRowBlocks(
    data.items,
    task,
    options,
    (from, to) => {
      for (let item = from; item < to; item++) {
        const title = data.title(item);
        if (title === undefined || titles.has(title)) continue;
        titles.add(title);
        const folded = title.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").trim();
        byFolded.set(folded, (byFolded.get(folded) ?? 0) + 1);
      }
    },
    blockTitles,
  );

  let alike = 0;
  for (const count of byFolded.values()) if (count > 1) alike += count;
  const prefixes = await prefixesOf([...titles], task, options);
  return { ...data.manifest.titles, alike, prefixes };
}

/** How many of the texts another of them begins with. A hash of every beginning is looked up, the text only if it is there. */
async function prefixesOf(
  titles: readonly string[],
  task: string,
  options: LongCall,
): Promise<number> {
  const byHash = new Map<number, string[]>();
  await forRowBlocks(
    titles.length,
    task,
    options,
    (from, to) => {
      for (const title of titles.slice(from, to)) {
        let hash = 0;
        for (let i = 0; i < title.length; i++) hash = next(hash, title.charCodeAt(i));
        const same = byHash.get(hash);
        if (same === undefined) byHash.set(hash, [title]);
        else same.push(title);
      }
    },
    blockTitles,
  );

  const found = new Set<string>();
  await forRowBlocks(
    titles.length,
    task,
    options,
    (from, to) => {
      for (const title of titles.slice(from, to)) {
        let hash = 0;
        for (let i = 0; i < title.length - 1; i++) {
          hash = next(hash, title.charCodeAt(i));
          for (const other of byHash.get(hash) ?? []) {
            if (other.length === i + 1 && title.startsWith(other)) found.add(other);
          }
        }
      }
    },
    blockTitles,
  );
  return found.size;
}

const next = (hash: number, unit: number): number => (Math.imul(hash ^ unit, 0x01000193) + 1) | 0;
