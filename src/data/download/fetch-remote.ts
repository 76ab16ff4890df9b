import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { NetworkError, UsageError } from "../../errors.js";
import {
  type Checksum,
  type Digests,
  digestsOf,
  findMd5,
  parseChecksum,
  verify,
} from "./checksum.js";
import type { RemoteFile } from "./datasets.js";
import { type FetchOptions, fetchFile, fetchText } from "./fetch-file.js";
import { removePartialFile } from "./partial-file.js";
import type { DownloadedFile } from "./receipt.js";

/** How a file is got, and from where. */
export interface MirrorOptions extends Pick<FetchOptions, "retries" | "retryDelayMs"> {
  /**
   * A mirror in place of the publisher: `https:`, `http:`, `file:` or a path. It is the address of the file or, ending in `/`, of
   * the folder that has it.
   */
  url?: string | undefined;
  /** What the file must be, `md5:...` or `sha256:...`, where it is one. Default: the publisher's. */
  checksum?: string | undefined;
}

/** A file with the address it will be got from, and what it must be. */
export interface LocatedFile {
  readonly name: string;
  readonly url: URL;
  readonly checksum: Checksum | undefined;
  /** Where to ask for the checksum, where it is not known. */
  readonly checksumUrl: URL | undefined;
}

/** A file that has come and is what it should be. */
export interface FetchedFile {
  readonly path: string;
  readonly download: DownloadedFile;
}

/** Where files are got from. @throws UsageError when the options make no sense for them */
export function remoteUrls(
  files: readonly RemoteFile[],
  { url: mirror, checksum }: MirrorOptions,
): readonly LocatedFile[] {
  const many = files.length > 1;
  if (many && mirror !== undefined && !mirror.endsWith("/")) {
    throw new UsageError(
      `the mirror of ${files.map(({ name }) => name).join(" and ")} is a folder, and ends in "/"; got "${mirror}"`,
    );
  }
  if (many && checksum !== undefined) {
    throw new UsageError(`a checksum is for one file, and there are ${files.length}`);
  }
  return files.map(({ name, url: published, md5, md5Url }) => {
    const address = mirror?.endsWith("/") ? `${mirror}${name}` : (mirror ?? published);
    const url = parseAddress(address);
    const known = md5 === undefined ? undefined : (`md5:${md5}` as const);
    const beside = mirror === undefined ? md5Url : md5Url && `${url}.md5`;
    return {
      name,
      url,
      checksum: checksum === undefined ? known : parseChecksum(checksum),
      checksumUrl: beside === undefined ? undefined : new URL(beside),
    };
  });
}

/** Brings a file to `path` and checks it. One that is wrong is removed. */
export async function fetchRemote(
  file: LocatedFile,
  path: string,
  options: Omit<FetchOptions, "name">,
): Promise<FetchedFile> {
  const { name, url } = file;
  const naming = { ...options, name };
  const checksum = file.checksum ?? (await publishedChecksum(file, naming));
  await fetchFile(url, path, naming);
  const digests: Digests = await digestsOf(path, name, options);
  try {
    if (checksum !== undefined) verify(name, digests, checksum);
  } catch (error) {
    await removePartialFile(path);
    throw error;
  }
  const { bytes, sha256 } = digests;
  const checked = checksum ?? null;
  return { path, download: { name, url: url.href, bytes, sha256, checksum: checked } };
}

async function publishedChecksum(
  { checksumUrl }: LocatedFile,
  options: FetchOptions,
): Promise<Checksum | undefined> {
  if (checksumUrl === undefined) return undefined;
  const text =
    checksumUrl.protocol === "file:"
      ? await readFile(fileURLToPath(checksumUrl), "utf8").catch(() => undefined)
      : await fetchText(checksumUrl, options);
  if (text === undefined) return undefined;
  const checksum = findMd5(text);
  if (checksum !== undefined) return checksum;
  throw new NetworkError(`${options.name}: ${checksumUrl} has no MD5 in it`);
}

function parseAddress(address: string): URL {
  if (!/^[a-z][a-z0-9+.-]+:/i.test(address)) return pathToFileURL(resolve(address));
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url !== undefined && ["http:", "https:", "file:"].includes(url.protocol)) return url;
  throw new UsageError(`a mirror is an http, https or file URL, or a path; got "${address}"`);
}
