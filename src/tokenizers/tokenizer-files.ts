import { createHash } from "node:crypto";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileFault, isSystemError } from "../data/files/file-fault.js";
import { Place } from "../data/files/json-place.js";
import { replaceFile } from "../data/files/replace-file.js";
import { CheckpointError } from "../errors.js";
import type { LongCall } from "../progress.js";
import { Turns } from "./turns.js";

const names = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
  "chat_template.json",
];
/** To be changed with the ids that a file's tokens get: what was cached before is of no use then. */
const encoderVersion = "1 ";
const hashedAtOnce = 1 << 20;

const templateFolder = "additional_chat_templates";

/** Ten times the largest that is about. */
const mostBytes = 400 << 20;

/** The files of a tokenizer, as they are on the disk. */
export class TokenizerFiles {
  private constructor(
    readonly folder: string,
    /** By their names in the folder. */
    readonly contents: ReadonlyMap<string, Buffer>,
  ) {}

  /** @throws CheckpointError when there is no tokenizer.json, or a file cannot be read */
  static async read(
    folder: string,
    { signal, onProgress }: LongCall = {},
  ): Promise<TokenizerFiles> {
    const contents = new Map<string, Buffer>();
    for (const name of [...names, ...(await additionalTemplates(folder))]) {
      signal?.throwIfAborted();
      const bytes = await readIfThere(join(folder, name));
      if (bytes === undefined) continue;
      contents.set(name, bytes);
      onProgress?.({ task: `reading ${name}`, done: contents.size, unit: "files" });
    }
    if (!contents.has("tokenizer.json")) {
      throw new CheckpointError(`${folder}: has no tokenizer.json`);
    }
    return new TokenizerFiles(folder, contents);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  text(name: string): string | undefined {
    const bytes = this.contents.get(name);
    if (bytes === undefined) return undefined;
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch (error) {
      throw new CheckpointError(`${this.path(name)}: not UTF-8`, { cause: error });
    }
  }

  /** Empty where there is no such file. */
  json(name: string): Place {
    const text = this.text(name);
    return text === undefined
      ? new Place(this.path(name), "", {})
      : Place.parse(this.path(name), text);
  }

  /** SHA-256 of some of them, in hexadecimal. */
  async hash(names: readonly string[], signal?: AbortSignal): Promise<string> {
    const hash = createHash("sha256").update(encoderVersion);
    const turns = new Turns(signal);
    for (const name of names) {
      const bytes = this.contents.get(name) ?? Buffer.alloc(0);
      hash.update(`${name} ${bytes.length} `);
      for (let start = 0; start < bytes.length; start += hashedAtOnce) {
        hash.update(bytes.subarray(start, start + hashedAtOnce));
        if (turns.over) await turns.next();
      }
    }
    return hash.digest("hex");
  }

  /** Writes them into a folder, byte for byte. Each replaces the one before as a whole. */
  async save(folder: string, signal?: AbortSignal): Promise<void> {
    for (const [name, bytes] of this.contents) {
      signal?.throwIfAborted();
      const path = join(folder, name);
      try {
        await mkdir(join(path, ".."), { recursive: true });
      } catch (error) {
        throw fileFault(error, folder, "make the folder");
      }
      await replaceFile(path, (append) => append(bytes));
    }
  }
}

async function additionalTemplates(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(join(folder, templateFolder));
    const templates = entries.filter((name) => name.endsWith(".jinja"));
    return templates.sort().map((name) => `${templateFolder}/${name}`);
  } catch (error) {
    if (isSystemError(error, "ENOENT") || isSystemError(error, "ENOTDIR")) return [];
    throw fileFault(error, join(folder, templateFolder), "read");
  }
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    const bytes = await readFile(path);
    if (bytes.length > mostBytes) {
      throw new CheckpointError(`${path}: ${bytes.length} bytes are too many for such a file`);
    }
    if (bytes.subarray(0, 40).toString("latin1").startsWith("version https://git-lfs.")) {
      throw new CheckpointError(
        `${path}: is a pointer of Git LFS, not the data; fetch it with git lfs pull`,
      );
    }
    return bytes;
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return undefined;
    throw fileFault(error, path, "read");
  }
}
