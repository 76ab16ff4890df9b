import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "../../errors.js";
import { syncPath } from "../files/sync-path.js";
import type { UnzippedFile } from "./unzip.js";

/** `DOWNLOAD.json` in a downloaded folder: what it holds, and where that is from. */
export interface Receipt {
  readonly format: "user-llm-download";
  readonly version: 1;
  readonly name: string;
  readonly title: string;
  readonly licence: string;
  readonly citation: string;
  readonly page: string;
  /** Day of the download: `2026-11-23`. */
  readonly date: string;
  readonly downloads: readonly DownloadedFile[];
  /** The files of the folder beside this one. */
  readonly files: readonly UnzippedFile[];
}

/** A file as it came. */
export interface DownloadedFile {
  readonly name: string;
  readonly url: string;
  readonly bytes: number;
  readonly sha256: string;
  /** What it was checked against, `md5:...`; null where the publisher has no checksum. */
  readonly checksum: string | null;
}

export const receiptName = "DOWNLOAD.json";

export async function writeReceipt(folder: string, receipt: Receipt): Promise<void> {
  const path = join(folder, receiptName);
  await writeFile(path, `${JSON.stringify(receipt, null, 2)}\n`);
  await syncPath(path);
}

/**
 * The receipt of a folder that is complete; undefined where there is none.
 *
 * @throws DataError when the folder lacks what its receipt names
 */
export async function readReceipt(folder: string): Promise<Receipt | undefined> {
  const receipt = await parsed(folder);
  if (receipt === undefined) return undefined;
  for (const { name, bytes } of receipt.files) {
    const found = await stat(join(folder, name)).then(
      ({ size }) => size,
      () => undefined,
    );
    if (found === bytes) continue;
    const has = found === undefined ? "is gone" : `has ${found} bytes instead of ${bytes}`;
    throw new DataError(`${folder}: ${name} ${has}; remove the folder to download it again`);
  }
  return receipt;
}

async function parsed(folder: string): Promise<Receipt | undefined> {
  try {
    const receipt = JSON.parse(await readFile(join(folder, receiptName), "utf8")) as Receipt;
    return receipt.format === "user-llm-download" ? receipt : undefined;
  } catch {
    return undefined;
  }
}
