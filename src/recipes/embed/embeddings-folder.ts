import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileFault, isSystemError } from "../../data/files/file-fault.js";
import { syncPath } from "../../data/files/sync-path.js";
import { DataError } from "../../errors.js";
import type { EncoderProvenance } from "../encoder-bundle/index.js";
import type { Pool } from "./pooled.js";

/** `embed.json`: what the parts of a folder have in common. The same for each of them, whoever writes them. */
export interface EmbeddingsCard {
  readonly format: "user-llm-embeddings";
  readonly version: 1;
  readonly encoder: {
    readonly kind: string;
    /** SHA-256 of its weights. */
    readonly hash: string;
    readonly provenance: EncoderProvenance;
  };
  /** Whose users they are. */
  readonly data: { readonly title: string; readonly fingerprint: string };
  readonly pool: Pool;
  readonly files: "parquet" | "arrow";
  /** Numbers of an embedding. */
  readonly width: number;
  /** Into how many parts the users are divided. */
  readonly shards: number;
}

const cardFile = "embed.json";
const partPattern = /^part-\d{5,}-of-\d{5,}\.(parquet|arrow)(\.tmp)?$/;

/**
 * Makes a folder ready for parts, or finds those that are there.
 *
 * @param overwrite whether parts of other embeddings go
 * @returns names of the finished parts
 * @throws DataError when the folder holds other embeddings, or other things, or cannot be written
 */
export async function openEmbeddings(
  folder: string,
  card: EmbeddingsCard,
  overwrite: boolean,
): Promise<ReadonlySet<string>> {
  try {
    await mkdir(folder, { recursive: true });
    const names = await readdir(folder);
    const before = await readFile(join(folder, cardFile), "utf8").catch((error) => {
      if (isSystemError(error, "ENOENT")) return undefined;
      throw error;
    });
    const text = `${JSON.stringify(card, undefined, 2)}\n`;
    if (before === text) return new Set(overwrite ? [] : names);
    const parts = names.filter((name) => partPattern.test(name));
    const others = names.filter((name) => !parts.includes(name) && !name.startsWith(cardFile));
    if (before === undefined && others.length > 0)
      throw new DataError(`${folder} is not empty and holds no embeddings; nothing was written`);
    if ((before !== undefined || parts.length > 0) && !overwrite)
      throw new DataError(
        `${folder} holds ${differenceFrom(before, card)}; overwrite them or name another folder`,
      );
    for (const name of parts) await rm(join(folder, name), { force: true });
    await putCard(folder, text);
    return new Set();
  } catch (error) {
    throw fileFault(error, folder, "write");
  }
}

/** `embeddings of another encoder`: what makes it other embeddings. */
function differenceFrom(before: string | undefined, card: EmbeddingsCard): string {
  let other: Partial<EmbeddingsCard>;
  try {
    other = JSON.parse(before ?? "") as Partial<EmbeddingsCard>;
  } catch {
    return "parts without a card";
  }
  if (other?.format !== card.format) return "parts without a card";
  if (other.encoder?.hash !== card.encoder.hash) return "embeddings of another encoder";
  if (other.data?.fingerprint !== card.data.fingerprint) return "embeddings of other data";
  if (other.pool !== card.pool) return `embeddings with the pool "${other.pool}"`;
  if (other.shards !== card.shards) return `embeddings in ${other.shards} parts`;
  if (other.files !== card.files) return `embeddings as ${other.files}`;
  return "other embeddings";
}

/** Several processes may do so at once, with the same text. */
async function putCard(folder: string, text: string): Promise<void> {
  const path = join(folder, cardFile);
  const temporary = `${path}.${randomBytes(4).toString("hex")}.tmp`;
  const file = await open(temporary, "wx");
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncPath(folder);
}
