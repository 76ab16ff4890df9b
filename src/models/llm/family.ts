import type { ConfigReader } from "./config-reader.js";
import type { DecoderOptions } from "./decoder-options.js";

/**
 * How a matrix lies in the family's checkpoints, where not as `[outWidth, inWidth]`:
 *
 * - `transposed`: as `[inWidth, outWidth]`, GPT-2's `Conv1D`
 * - `heads`: rows of one head's query, key and value, then the next head's, where ours has all queries first
 */
export type StoredLayout = "transposed" | "heads";

/** Where the family's checkpoints have a module of the decoder. */
export interface StoredModule {
  /** Path in the checkpoint; `*` is the number of the layer. */
  readonly name: string;
  readonly layout?: StoredLayout | undefined;
}

/**
 * The checkpoint's path of each module of the decoder that has parameters: `layers.*.attention.query` →
 * `model.layers.*.self_attn.q_proj`. Parameters keep their names, `weight` and `bias`.
 */
export type NameTable = Readonly<Record<string, string | StoredModule>>;

/** A family of language models: how its `config.json` and its tensors become a {@link Decoder}. */
export interface LlmFamily {
  /** For people: `Llama`. */
  readonly name: string;
  /** `model_type` of the `config.json`. */
  readonly modelType: string;
  /** The class of transformers: `LlamaForCausalLM`. */
  readonly architecture: string;
  /** What the paths of all but the head begin with, which some checkpoints leave out: `model.`. */
  readonly prefix: string;
  readonly names: NameTable;
  /** Tensors that a checkpoint may have and that are computed here. Default: none. */
  readonly ignored?: readonly RegExp[] | undefined;
  /**
   * The decoder that a configuration describes.
   *
   * @throws CheckpointError for what is missing, or not supported
   */
  options(config: ConfigReader): DecoderOptions;
}
