import { mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { NetworkError, UsageError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import { fileFault } from "../files/file-fault.js";
import { partialFolder } from "../write/partial-folder.js";
import { datasetNamed, type PartOptions, partOf } from "./choose.js";
import { type ConnectionOptions, connect } from "./connection.js";
import type { DownloadableDataset } from "./datasets.js";
import { type FetchedFile, fetchRemote, type MirrorOptions, remoteUrls } from "./fetch-remote.js";
import { removePartialFile } from "./partial-file.js";
import { type Receipt, readReceipt, writeReceipt } from "./receipt.js";
import type { UnzippedFile, ZipLimits } from "./unzip.js";

/** What {@link download} is told. */
export interface DownloadOptions extends LongCall, PartOptions, MirrorOptions, ConnectionOptions {
  /** The folder in which the data set gets a folder of its own name. */
  out: string;
  /** Refuse to use the network. Default: whether `USER_LLM_OFFLINE` is set. */
  offline?: boolean | undefined;
  /** What a zip may hold. */
  limits?: ZipLimits | undefined;
}

/** What {@link download} has brought. */
export interface Download extends Receipt {
  /** Where the files are. */
  readonly folder: string;
  /** False if they were there already. */
  readonly fresh: boolean;
}

/**
 * Downloads a public data set into `<out>/<name>`, or `<out>/<name>-<part>`: checked against the publisher's checksum, unpacked,
 * and with `DOWNLOAD.json`, which says where everything is from. The folder appears when it is complete. An interrupted
 * download is continued by the next call. What is there already is left alone.
 *
 * @throws UsageError when there is no such data set, or the folder holds something else
 * @throws NetworkError when the network fails, a checksum does not match, or the network is not to be used
 * @throws DataError when the archive is unsound, or the disk is full
 */
export async function download(name: string, options: DownloadOptions): Promise<Download> {
  const dataset = datasetNamed(name);
  const part = partOf(dataset, options);
  const remote = remoteUrls(dataset.files(part), options);
  const folder = join(options.out, part === "" ? name : `${name}-${part}`);
  const there = await readReceipt(folder);
  if (there !== undefined) return { ...there, folder, fresh: false };
  await refuseOccupied(folder);
  if (isOffline(options) && remote.some(({ url }) => url.protocol !== "file:")) {
    throw new NetworkError(`${name} is not in ${options.out}, and the network is not to be used`);
  }
  await mkdir(options.out, { recursive: true }).catch((error) => {
    throw fileFault(error, options.out, "make the folder");
  });
  const connection = connect(options);
  const fetched: FetchedFile[] = [];
  for (const file of remote) {
    const path = join(options.out, `${file.name}.part`);
    fetched.push(await fetchRemote(file, path, { ...options, connection }));
  }
  return { ...(await put(dataset, folder, fetched, options)), folder, fresh: true };
}

/** Makes the folder of what has come, all of it or nothing. */
async function put(
  { name, title, licence, citation, page, zip }: DownloadableDataset,
  folder: string,
  fetched: readonly FetchedFile[],
  options: DownloadOptions,
): Promise<Receipt> {
  const place = await partialFolder(folder);
  const files: UnzippedFile[] = [];
  const moved: [from: string, to: string][] = [];
  try {
    for (const { path, download } of fetched) {
      if (zip) {
        const { unzip } = await import("./unzip.js");
        files.push(...(await unzip(path, place.data, options)));
        continue;
      }
      const to = join(place.data, download.name);
      await rename(path, to);
      moved.push([path, to]);
      files.push({ name: download.name, bytes: download.bytes });
    }
    const receipt: Receipt = {
      format: "user-llm-download",
      version: 1,
      name,
      title,
      licence,
      citation,
      page,
      date: new Date().toISOString().slice(0, 10),
      downloads: fetched.map(({ download }) => download),
      files,
    };
    await writeReceipt(place.data, receipt);
    options.signal?.throwIfAborted();
    await place.commit();
    for (const { path } of fetched) await removePartialFile(path);
    return receipt;
  } catch (error) {
    // They may have taken hours.
    for (const [from, to] of moved) await rename(to, from).catch(() => {});
    await place.abandon();
    throw fileFault(error, folder, "write");
  }
}

async function refuseOccupied(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error) => {
    if (error.code === "ENOENT") return [];
    throw fileFault(error, folder, "read the folder");
  });
  if (names.length === 0) return;
  throw new UsageError(
    `${folder} holds files that were not downloaded (there is no DOWNLOAD.json); remove it or name another folder`,
  );
}

function isOffline({ offline, env = process.env }: DownloadOptions): boolean {
  const { USER_LLM_OFFLINE: variable = "" } = env;
  return offline ?? !["", "0", "false"].includes(variable);
}
