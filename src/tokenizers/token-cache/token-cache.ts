import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileFault, isSystemError } from "../../data/files/file-fault.js";
import { hashFile } from "../../data/files/hash-file.js";
import { Place } from "../../data/files/json-place.js";
import { replaceFile } from "../../data/files/replace-file.js";
import { syncPath } from "../../data/files/sync-path.js";
import type { PreparedFile } from "../../data/manifest.js";
import { leftovers, processMark } from "../../data/write/leftovers.js";
import { DataError } from "../../errors.js";
import { TokenizedTexts } from "../tokenized-texts.js";
import { IdSpool } from "./id-spool.js";

const format = "user-llm-tokens";

/**
 * Ids of texts by the key of those texts: `<key>.arrow`, and `<key>.json` with its checksum. The same key has the same
 * bytes whoever writes them, so processes may do so at once: each file is replaced as a whole.
 */
export class TokenCache {
  constructor(
    readonly folder: string,
    readonly signal?: AbortSignal | undefined,
  ) {}

  /** An entry; `undefined` where there is none, or it is not whole. */
  async open(key: string): Promise<TokenizedTexts | undefined> {
    const path = join(this.folder, `${key}.arrow`);
    const cardPath = join(this.folder, `${key}.json`);
    try {
      const card = Place.parse(cardPath, await readFile(cardPath, "utf8"));
      if (card.get("format").value !== format) return undefined;
      if ((await hashFile(path, this.signal)) !== card.get("sha256").hash()) return undefined;
      return new TokenizedTexts(path, card.get("rows").count());
    } catch (error) {
      if (error instanceof DataError || isSystemError(error)) return undefined;
      throw error;
    }
  }

  /** Makes an entry. */
  async write(key: string, texts: AsyncIterable<Int32Array>): Promise<void> {
    try {
      await mkdir(this.folder, { recursive: true });
      const name = join(this.folder, "tokens");
      for (const path of (await leftovers(name)).partial) {
        await rm(path, { recursive: true, force: true });
      }
      const mark = `${processMark()}-${randomBytes(4).toString("hex")}`;
      const scratch = join(this.folder, `.tokens.partial-${mark}`);
      await mkdir(scratch);
      try {
        await this.#fill(key, scratch, texts);
      } finally {
        await rm(scratch, { recursive: true, force: true });
      }
    } catch (error) {
      throw fileFault(error, this.folder, "write");
    }
  }

  async #fill(key: string, scratch: string, texts: AsyncIterable<Int32Array>): Promise<void> {
    const spool = await IdSpool.create(join(scratch, "ids"));
    try {
      for await (const ids of texts) await spool.add(ids);
      const temporary = join(scratch, "tokens.arrow");
      const { rows, sha256 } = await this.#writeArrow(temporary, spool);
      await rename(temporary, join(this.folder, `${key}.arrow`));
      await syncPath(this.folder);
      const card = JSON.stringify({ format, rows, tokens: spool.tokens, sha256 }, undefined, 2);
      await replaceFile(join(this.folder, `${key}.json`), (append) => append(`${card}\n`));
    } finally {
      await spool.close();
    }
  }

  async #writeArrow(path: string, spool: IdSpool): Promise<PreparedFile> {
    // It loads apache-arrow, which whoever only reads does not need.
    const { ArrowFileWriter } = await import("../../data/write/arrow-file-writer.js");
    const column = { name: "ids", type: "int32List", bytes: 4 * spool.tokens } as const;
    const writer = await ArrowFileWriter.create(path, [column], spool.texts);
    try {
      for await (const { lengths, bytes } of spool.blocks()) {
        this.signal?.throwIfAborted();
        await writer.values("ids", lengths, bytes);
      }
      return await writer.finish();
    } finally {
      await writer.close();
    }
  }
}
