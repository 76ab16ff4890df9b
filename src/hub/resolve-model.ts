import { stat } from "node:fs/promises";
import { join } from "node:path";
import { type ConnectionOptions, connect } from "../data/download/connection.js";
import type { RetryOptions } from "../data/download/retry.js";
import { fileFault } from "../data/files/file-fault.js";
import { CheckpointError, NetworkError, UsageError } from "../errors.js";
import type { ProgressListener } from "../progress.js";
import { readShardNames } from "../tensor/index.js";
import { CachedModel, sizeOfFile } from "./cache.js";
import { fetchBlob, hasBlob } from "./fetch-blob.js";
import { configName, indexName, smallFiles, weightsEntry, weightsName } from "./files-of-models.js";
import { describe, type HubAccess, type HubFile, type HubModel, lookUp } from "./hub-api.js";
import { type ModelId, parseModelId } from "./model-id.js";
import { type HubOptions, type HubSettings, hubSettings } from "./settings.js";

/** What {@link resolveModel} is told. */
export interface ResolveModelOptions extends HubOptions, RetryOptions, ConnectionOptions {
  /** A branch, a tag or a commit. Default: `main`. */
  revision?: string | undefined;
  /** The files that are wanted, all of them. Default: those of a language model, with its weights as safetensors. */
  files?: readonly string[] | undefined;
}

/**
 * The folder that a model is in. A local folder is taken as it is; anything else is the id of a model on the Hugging Face
 * hub, which is downloaded into the cache that all Hugging Face libraries share, unless it is there.
 *
 *     const folder = await resolveModel("HuggingFaceTB/SmolLM2-135M");
 *
 * Of a model come `config.json`, what its tokenizer needs, and the weights as safetensors; never pickles. All contents are
 * checked against the hub's hashes. An interrupted download is continued by the next call; several processes may ask
 * for the same model.
 *
 * @param idOrFolder a folder, `org/name` or `org/name@revision`
 * @returns a folder; do not write into it
 * @throws UsageError when it is neither a folder nor an id
 * @throws NetworkError when the model cannot be had: the network, the hub's refusal, or not in the cache while offline
 * @throws CheckpointError when the model has no safetensors, or an index that leads elsewhere
 * @throws DataError when the cache cannot be written
 */
export async function resolveModel(
  idOrFolder: string,
  options: ResolveModelOptions = {},
): Promise<string> {
  if (await isFolder(idOrFolder)) return idOrFolder;
  const id = parseModelId(idOrFolder, options.revision);
  const files = options.files?.map(plainName);
  const settings = await hubSettings(options);
  const model = new CachedModel(settings.cache, id);
  if (settings.offline) return await findCached(id, model, files, settings);
  const access: HubAccess = { ...options, settings, connection: connect(options) };
  try {
    const found = await lookUp(id, access).catch(async (error: Error) => {
      throw await withHint(error, () => findCached(id, model, files, settings));
    });
    return await bring(id, found, model, files, access);
  } catch (error) {
    throw fileFault(error, settings.cache, "write");
  }
}

async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || found.isDirectory()) return found !== undefined;
  throw new UsageError(`${path} is a file; a model is a folder, or an id like org/name`);
}

function plainName(name: string): string {
  if (/^[^/\\\0]+$/.test(name) && name !== "." && name !== "..") return name;
  throw new UsageError(`"${name}" is not the plain name of a file`);
}

/** Brings what is missing; the revision counts as known once everything is there. */
async function bring(
  id: ModelId,
  { commit, files }: HubModel,
  model: CachedModel,
  wanted: readonly string[] | undefined,
  access: HubAccess,
): Promise<string> {
  const folder = model.snapshot(commit);
  const fetchAll = (names: readonly string[]): Promise<void> => {
    const described = names.map((name) => {
      const entry = files.get(name);
      if (entry === undefined) throw new CheckpointError(`${id.name}: has no ${name}`);
      return describe(id, entry);
    });
    return fetchMissing(id, commit, described, model, access);
  };
  if (wanted !== undefined) await fetchAll(wanted);
  else {
    const weights = weightsEntry(id.name, new Set(files.keys()));
    const small = smallFiles.filter((name) => files.has(name));
    if (weights === indexName) {
      await fetchAll([indexName]);
      await fetchAll([...small, ...(await readShardNames(join(folder, indexName)))]);
    } else await fetchAll([...small, weights]);
  }
  await model.refer(id.revision, commit);
  return folder;
}

async function fetchMissing(
  id: ModelId,
  commit: string,
  files: readonly HubFile[],
  model: CachedModel,
  access: HubAccess,
): Promise<void> {
  const missing: HubFile[] = [];
  for (const file of files) if (!(await hasBlob(model, file))) missing.push(file);
  const total = missing.reduce((sum, { bytes }) => sum + bytes, 0);
  let before = 0;
  const onProgress: ProgressListener = ({ task, done, unit }) => {
    const doing = task.startsWith("checking") ? "checking" : "downloading";
    access.onProgress?.({ task: `${doing} ${id.name}`, done: before + done, total, unit });
  };
  for (const file of missing) {
    await fetchBlob(id, commit, file, model, { ...access, onProgress });
    before += file.bytes;
  }
  // What a commit has never changes; and a cache that is complete may be read-only.
  for (const { name, hash, bytes } of files)
    if ((await sizeOfFile(join(model.snapshot(commit), name))) !== bytes)
      await model.link(commit, name, hash);
}

/** The snapshot in the cache, if it has what is needed. @throws NetworkError naming what it lacks */
async function findCached(
  id: ModelId,
  model: CachedModel,
  wanted: readonly string[] | undefined,
  { cache }: HubSettings,
): Promise<string> {
  const lacks = (what: string): NetworkError =>
    new NetworkError(
      `${id.name}: the cache, ${cache}, has no ${what}, and the network is not to be used (HF_HUB_OFFLINE)`,
    );
  const commit = await model.commitOf(id.revision);
  if (commit === undefined) throw lacks(`revision "${id.revision}" of it`);
  const folder = model.snapshot(commit);
  for (const name of wanted ?? (await neededIn(folder)))
    if ((await sizeOfFile(join(folder, name))) === undefined) throw lacks(`${name} of it`);
  return folder;
}

async function neededIn(folder: string): Promise<readonly string[]> {
  const has = async (name: string) => (await sizeOfFile(join(folder, name))) !== undefined;
  if ((await has(weightsName)) || !(await has(indexName))) return [configName, weightsName];
  return [configName, ...(await readShardNames(join(folder, indexName)))];
}

/** Says so where the cache would do. */
async function withHint(error: Error, findInCache: () => Promise<string>): Promise<Error> {
  if (!(error instanceof NetworkError)) return error;
  const isCached = await findInCache().then(
    () => true,
    () => false,
  );
  if (!isCached) return error;
  const message = `${error.message}; the cache has it: HF_HUB_OFFLINE=1 uses that without asking`;
  return new NetworkError(message, { cause: error });
}
