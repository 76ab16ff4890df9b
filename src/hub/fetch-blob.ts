import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { fetchFile } from "../data/download/fetch-file.js";
import { movePartialFile, removePartialFile } from "../data/download/partial-file.js";
import { syncPath } from "../data/files/sync-path.js";
import { leftovers, processMark } from "../data/write/leftovers.js";
import { NetworkError } from "../errors.js";
import type { LongCall } from "../progress.js";
import { type CachedModel, sizeOfFile } from "./cache.js";
import { authorization, fileUrl, type HubAccess, type HubFile, refusalOf } from "./hub-api.js";
import type { ModelId } from "./model-id.js";

/** Whether the cache has the contents. They were checked before they got their name. */
export async function hasBlob({ blobs }: CachedModel, { hash, bytes }: HubFile): Promise<boolean> {
  return (await sizeOfFile(join(blobs, hash))) === bytes;
}

/**
 * Brings the contents of a file into the cache and checks them. Processes that want the same at the same time do not meet:
 * each writes a file of its own, and takes over what one that is no more has left.
 *
 * @throws NetworkError when the network fails, or the contents are not those that the hub has listed
 */
export async function fetchBlob(
  id: ModelId,
  commit: string,
  file: HubFile,
  model: CachedModel,
  access: HubAccess,
): Promise<void> {
  const { name, bytes, hash } = file;
  const { settings } = access;
  await mkdir(model.blobs, { recursive: true });
  const target = join(model.blobs, hash);
  const nobodys = join(model.blobs, `.${hash}.partial`);
  const own = `${nobodys}-${processMark()}-${randomBytes(4).toString("hex")}`;
  for (const left of [nobodys, ...(await leftovers(target)).partial])
    if (await movePartialFile(left, own)) break;
  try {
    await fetchFile(fileUrl(id, commit, name, settings.endpoint), own, {
      ...access,
      ...{ name, bytes },
      headers: authorization(settings),
      refusal: refusalOf(id, settings),
    });
    await verify(own, file, access);
    await rename(own, target);
    await syncPath(model.blobs);
    await removePartialFile(own); // what was noted of it
  } catch (error) {
    await movePartialFile(own, nobodys); // for the next time
    throw error;
  }
}

/** Removes the file if it is not what it should be: whoever continued it would never get anything else. */
async function verify(
  path: string,
  file: HubFile,
  { signal, onProgress }: LongCall,
): Promise<void> {
  const { name, bytes, hash, algorithm } = file;
  const sum = createHash(algorithm === "git" ? "sha1" : "sha256");
  let done = 0;
  if (algorithm === "git") sum.update(`blob ${bytes}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    signal?.throwIfAborted();
    sum.update(chunk as Buffer);
    done += (chunk as Buffer).length;
    onProgress?.({ task: `checking ${name}`, done, total: bytes, unit: "bytes" });
  }
  const got = sum.digest("hex");
  if (got === hash) return;
  await removePartialFile(path);
  throw new NetworkError(
    `${name}: the hub sent ${done} bytes with hash ${got}, and has listed ${bytes} with ${hash}`,
  );
}
