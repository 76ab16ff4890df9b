import { randomBytes } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { CheckpointError, UsageError, UserLlmError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import type { Tensor } from "../tensor.js";
import { FilesInTheMaking } from "./files-in-the-making.js";
import {
  type DeferredTensor,
  type Entry,
  entryOf,
  type StorageDType,
  type Writing,
  writeFully,
  writeTensors,
} from "./write-tensors.js";

/** What is saved: tensors by name. */
export type SavedTensors =
  | Readonly<Record<string, Tensor | DeferredTensor>>
  | ReadonlyMap<string, Tensor | DeferredTensor>;

export interface SaveSafetensorsOptions extends LongCall {
  /** Strings to keep with the tensors. `format: "pt"` is added, as other libraries expect it. */
  metadata?: Readonly<Record<string, string>> | undefined;
  /** What floating-point tensors are stored as. Default: as they are. */
  dtype?: StorageDType | undefined;
  /** Splits the checkpoint into files of at most this many bytes of tensors; one tensor is never split. */
  maxShardBytes?: number | undefined;
}

/**
 * Writes tensors as the reference implementation does, byte for byte. The file appears under its name once it is whole
 * and on the disk; after an error the old one, if any, is still there. Do not change the tensors before the promise
 * settles: they are read one after the other, a piece at a time.
 *
 *     await saveSafetensors("model.safetensors", model.stateDict(), { dtype: "bfloat16" });
 *
 * With `maxShardBytes`, `model.safetensors` becomes `model-00001-of-00003.safetensors`, ... and
 * `model.safetensors.index.json`, unless one file is enough. Shards count from the moment on in which the index is put in
 * place. Where those names are taken by an earlier save, the new shards have others (`model-9f3a01c2-00001-of-00003...`),
 * so that a reader finds the old checkpoint or the new one, never a mixture. What an earlier save under the same name
 * left, files or shards, goes once the new one counts.
 *
 * @throws CheckpointError when the files cannot be written, or a value does not fit into float16
 * @throws NativeError when a tensor could not be computed; nothing is written then
 */
export async function saveSafetensors(
  path: string,
  tensors: SavedTensors,
  options: SaveSafetensorsOptions = {},
): Promise<void> {
  const { metadata = {}, dtype, maxShardBytes = Infinity, signal, onProgress } = options;
  if (!path.endsWith(extension))
    throw new UsageError(`saveSafetensors: ${path} must end in .safetensors`);
  if (!(maxShardBytes > 0))
    throw new UsageError(`saveSafetensors: maxShardBytes must be above 0, got ${maxShardBytes}`);
  const entries = [...(tensors instanceof Map ? tensors : Object.entries(tensors))].map(
    ([name, tensor]) => entryOf(name, tensor, dtype),
  );
  const total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  const writing: Writing = {
    metadata: { format: "pt", ...metadata },
    advance(bytes) {
      signal?.throwIfAborted();
      done += bytes;
      onProgress?.({ task: `writing ${basename(path)}`, done, total, unit: "bytes" });
    },
  };
  try {
    const shards = split(entries, maxShardBytes);
    if (shards.length === 1) await saveWhole(path, entries, writing);
    else await saveShards(path, shards, writing);
  } catch (cause) {
    if (cause instanceof UserLlmError || (signal?.aborted && cause === signal.reason)) throw cause;
    throw new CheckpointError(`${path}: cannot be written: ${(cause as Error).message}`, { cause });
  }
}

/** Consecutive tensors together until the next one would be too much. */
function split(entries: readonly Entry[], maxShardBytes: number): Entry[][] {
  const shards: Entry[][] = [[]];
  let room = maxShardBytes;
  for (const entry of entries) {
    if (entry.bytes > room && shards.at(-1)!.length > 0) {
      shards.push([]);
      room = maxShardBytes;
    }
    shards.at(-1)!.push(entry);
    room -= entry.bytes;
  }
  return shards;
}

async function saveWhole(path: string, entries: readonly Entry[], writing: Writing): Promise<void> {
  await using files = new FilesInTheMaking();
  await files.write(path, (handle) => writeTensors(handle, path, entries, writing));
  await files.publish();
  await removeOlder(path, []);
}

async function saveShards(
  path: string,
  shards: readonly (readonly Entry[])[],
  writing: Writing,
): Promise<void> {
  await using files = new FilesInTheMaking();
  const places = await freeNames(path, shards.length);
  const weightMap: [string, string][] = [];
  for (const [i, shard] of shards.entries()) {
    const place = places[i]!;
    await files.write(place, (handle) => writeTensors(handle, place, shard, writing));
    for (const { name } of shard) weightMap.push([name, basename(place)]);
  }
  const index = {
    metadata: { total_size: shards.flat().reduce((sum, { bytes }) => sum + bytes, 0) },
    weight_map: Object.fromEntries(weightMap),
  };
  await files.write(indexOf(path), (handle) =>
    writeFully(handle, Buffer.from(`${JSON.stringify(index, null, 2)}\n`)),
  );
  await files.publish();
  // Readers prefer the single file: an older one hides what was written until it goes.
  await rm(path, { force: true });
  await removeOlder(path, [indexOf(path), ...places]);
}

const extension = ".safetensors";
const shardEnd = /^(\.safetensors\.index\.json|(-[0-9a-f]{8})?-\d{5}-of-\d{5}\.safetensors)$/;

const indexOf = (path: string): string => `${path}.index.json`;

/** Places for shards where there are no files. */
async function freeNames(path: string, count: number): Promise<string[]> {
  const stem = basename(path, extension);
  const named = (tag: string): string[] => {
    const number = (i: number): string => String(i).padStart(5, "0");
    const end = `of-${number(count)}${extension}`;
    return Array.from({ length: count }, (_, i) => `${stem}${tag}-${number(i + 1)}-${end}`);
  };
  const taken = new Set(await shardsBeside(path));
  const usual = named("");
  const free = usual.some((name) => taken.has(name))
    ? named(`-${randomBytes(4).toString("hex")}`)
    : usual;
  return free.map((name) => join(dirname(path), name));
}

/** Names of the index and the shards of whatever was saved as `path`. */
async function shardsBeside(path: string): Promise<string[]> {
  const stem = basename(path, extension);
  const names = await readdir(dirname(path));
  return names.filter((name) => name.startsWith(stem) && shardEnd.test(name.slice(stem.length)));
}

/** Removes index and shards of earlier saves. What cannot be removed now, the next save tries again. */
async function removeOlder(path: string, kept: readonly string[]): Promise<void> {
  const keptNames = kept.map((place) => basename(place));
  for (const name of await shardsBeside(path).catch(() => []))
    if (!keptNames.includes(name))
      await rm(join(dirname(path), name), { force: true }).catch(() => undefined);
}
