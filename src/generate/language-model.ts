import { CheckpointError } from "../errors.js";
import { type ResolveModelOptions, resolveModel } from "../hub/index.js";
import {
  type Decoder,
  type LlmFamily,
  type LoadDecoderOptions,
  loadAdapter,
  loadDecoder,
} from "../models/index.js";
import { Tokenizer, type TokenizerOptions } from "../tokenizers/index.js";
import { type GenerationDefaults, readGenerationDefaults } from "./generation-defaults.js";

/** What {@link LanguageModel.load} is told. */
export interface LoadLanguageModelOptions
  extends LoadDecoderOptions,
    Pick<TokenizerOptions, "timeLimitMs">,
    Omit<ResolveModelOptions, "files"> {
  /** A folder with low-rank adapters in PEFT's layout, which lie beside the weights. Default: none. */
  readonly adapter?: string | undefined;
}

/** The parts of a language model. */
export interface LanguageModelParts {
  /** Becomes the model's: disposed with it. */
  readonly decoder: Decoder;
  readonly tokenizer: Tokenizer;
  readonly family: LlmFamily;
  /** `config.json` as it was. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly generation: GenerationDefaults;
  /** Where it was read from. */
  readonly folder: string;
}

/** What it takes to answer; a {@link LanguageModel} has it. */
export type AnsweringModel = Pick<LanguageModelParts, "decoder" | "tokenizer" | "generation">;

/**
 * A language model with all it takes to read and write text.
 *
 *     using model = await LanguageModel.load("HuggingFaceTB/SmolLM2-135M");
 *     const [{ text }] = await generate(model, "Once upon a time");
 */
export class LanguageModel implements LanguageModelParts, Disposable {
  readonly decoder: Decoder;
  readonly tokenizer: Tokenizer;
  readonly family: LlmFamily;
  readonly config: Readonly<Record<string, unknown>>;
  readonly generation: GenerationDefaults;
  readonly folder: string;

  /** @throws CheckpointError when the tokenizer has tokens that the decoder does not know */
  constructor({ decoder, tokenizer, family, config, generation, folder }: LanguageModelParts) {
    const { vocabulary } = decoder.options;
    if (tokenizer.vocabularySize > vocabulary)
      throw new CheckpointError(
        `${folder}: the tokenizer's ids go up to ${tokenizer.vocabularySize - 1}, but the model has ${vocabulary} tokens`,
      );
    this.decoder = decoder;
    this.tokenizer = tokenizer;
    this.family = family;
    this.config = config;
    this.generation = generation;
    this.folder = folder;
  }

  /**
   * Loads a model of Hugging Face's layout, from a folder or from the hub.
   *
   * @param idOrFolder a folder, `org/name` or `org/name@revision`
   * @throws UsageError, NetworkError as {@link resolveModel} does
   * @throws CheckpointError as {@link loadDecoder} and {@link loadAdapter} do, and when a file of the tokenizer or of generation is wrong
   */
  static async load(
    idOrFolder: string,
    options: LoadLanguageModelOptions = {},
  ): Promise<LanguageModel> {
    const { adapter, signal } = options;
    const folder = await resolveModel(idOrFolder, options);
    // The tokenizer first: it is read quickly, and its faults are the more frequent ones.
    const tokenizer = await Tokenizer.load(folder, options);
    const { decoder, family, config } = await loadDecoder(folder, options);
    try {
      if (adapter !== undefined) await loadAdapter(adapter, decoder, { ...options, family });
      signal?.throwIfAborted();
      const { vocabulary } = decoder.options;
      const generation = await readGenerationDefaults(folder, config, { vocabulary, tokenizer });
      return new LanguageModel({ decoder, tokenizer, family, config, generation, folder });
    } catch (error) {
      decoder.dispose();
      throw error;
    }
  }

  dispose(): void {
    this.decoder.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
