import { partialFolder } from "../../data/write/partial-folder.js";
import { resolveModel } from "../../hub/index.js";
import { loadAdapter, loadDecoder, mergeAdapter, saveDecoder } from "../../models/index.js";
import type { LongCall } from "../../progress.js";
import type { StorageDType } from "../../tensor/index.js";
import { Tokenizer } from "../../tokenizers/index.js";
import { copyIfThere } from "./finetune.js";

export interface MergeOptions extends LongCall {
  /** The base: a folder, or the id of a model on the hub. */
  readonly llm: string;
  /** A folder in PEFT's layout. */
  readonly adapter: string;
  /** The new folder; nothing may be there. */
  readonly out: string;
  /** What the weights are stored as. Default: as the base says of its own, else float32. */
  readonly dtype?: StorageDType | undefined;
}

/**
 * Writes a model with an adapter in its weights as a folder in Hugging Face's layout, with the tokenizer. Sums are made in
 * float32 and rounded once.
 *
 * @returns what the weights are stored as
 * @throws DataError when something is in the place
 * @throws CheckpointError, NetworkError when model or adapter cannot be had, or do not go together
 */
export async function exportMerged({
  llm,
  adapter,
  out,
  dtype,
  ...longCall
}: MergeOptions): Promise<StorageDType> {
  const folder = await partialFolder(out, { kind: modelFolder });
  try {
    const source = await resolveModel(llm, longCall);
    const tokenizer = await Tokenizer.load(source, longCall);
    const { decoder, family, config } = await loadDecoder(source, longCall);
    using _ = decoder;
    await loadAdapter(adapter, decoder, { family, ...longCall });
    await mergeAdapter(decoder, longCall);
    const stored = dtype ?? dtypeOf(config);
    await saveDecoder(folder.data, decoder, { family, config, dtype: stored, ...longCall });
    await tokenizer.save(folder.data, longCall);
    await copyIfThere("generation_config.json", source, folder.data);
    await folder.commit();
    return stored;
  } catch (error) {
    await folder.abandon();
    throw error;
  }
}

/** A folder that is there never goes. */
const modelFolder = { name: "model of an export", recognise: async () => undefined };

function dtypeOf(config: Readonly<Record<string, unknown>>): StorageDType {
  const dtype = config.dtype ?? config.torch_dtype;
  return dtype === "bfloat16" || dtype === "float16" ? dtype : "float32";
}
