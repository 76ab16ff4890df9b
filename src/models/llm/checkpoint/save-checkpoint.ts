import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError } from "../../../errors.js";
import type { LongCall } from "../../../progress.js";
import { type SavedTensors, type StorageDType, saveSafetensors } from "../../../tensor/index.js";

export interface SaveCheckpointOptions extends LongCall {
  /** What floating-point tensors are stored as. Default: as they are. */
  dtype?: StorageDType | undefined;
  /** Bytes of tensors in a file; above, there are several and an index. Default: 5 GB, as Hugging Face does. */
  shardBytes?: number | undefined;
  /** Strings to keep with the tensors, beside `format: "pt"`. */
  metadata?: Readonly<Record<string, string>> | undefined;
}

/**
 * Writes the weights of a model folder as `transformers` does: `model.safetensors`, or
 * `model-00001-of-00003.safetensors`, ... and `model.safetensors.index.json`. Whoever opens the folder finds all of the
 * weights that were there before, or all of these. The rest of the folder is left alone.
 *
 * @param folder  made if it is not there
 * @param tensors by their names in the checkpoint; a deferred one is in memory only while it is written
 * @throws CheckpointError when the files cannot be written, or a value does not fit into float16
 */
export async function saveCheckpoint(
  folder: string,
  tensors: SavedTensors,
  options: SaveCheckpointOptions = {},
): Promise<void> {
  const { shardBytes = 5e9, ...rest } = options;
  await mkdir(folder, { recursive: true }).catch((error: Error) => {
    throw new CheckpointError(`${folder}: cannot be made: ${error.message}`, { cause: error });
  });
  await saveSafetensors(join(folder, "model.safetensors"), tensors, {
    ...rest,
    maxShardBytes: shardBytes,
  });
}
