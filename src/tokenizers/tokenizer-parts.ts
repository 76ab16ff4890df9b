import { CheckpointError, DataError } from "../errors.js";
import type { LongCall } from "../progress.js";
import { ChatTemplates } from "./chat/chat-templates.js";
import { Encoder } from "./encoder.js";
import { loadLibrary } from "./library.js";
import { readModel } from "./models/model.js";
import { optionalFlag } from "./optional.js";
import { type Decoder, readDecoder } from "./pipeline/decoder.js";
import { cleanedText } from "./pipeline/decoding-steps.js";
import { type Frame, readFrame } from "./pipeline/post-processor.js";
import {
  readAddedTokens,
  readSpecialTokens,
  type SpecialIds,
  type SpecialTokens,
  specialIds,
} from "./special-tokens.js";
import { TokenizerFiles } from "./tokenizer-files.js";
import { Turns } from "./turns.js";
import type { Vocabulary } from "./vocabulary.js";

/** Everything that is read from the files of a tokenizer. */
export interface TokenizerParts {
  readonly files: TokenizerFiles;
  readonly vocabulary: Vocabulary;
  readonly specials: SpecialIds;
  /** As chat templates see them. */
  readonly specialTexts: SpecialTokens;
  /** Ids that `decode` leaves out. */
  readonly skipped: ReadonlySet<number>;
  readonly encoder: Encoder;
  /** Around the ids of a text. */
  readonly frame: Frame;
  readonly decoder: Decoder;
  readonly chatTemplates: ChatTemplates | undefined;
  readonly timeLimitMs: number;
}

/** @throws CheckpointError when a file is missing or damaged, or asks for something that is not supported */
export async function readParts(
  folder: string,
  options: LongCall & { readonly timeLimitMs: number },
): Promise<TokenizerParts> {
  try {
    return await buildParts(await TokenizerFiles.read(folder, options), options);
  } catch (error) {
    if (error instanceof RangeError) {
      throw new CheckpointError(`${folder}: the tokenizer's steps hold each other too deeply`, {
        cause: error,
      });
    }
    if (!(error instanceof DataError)) throw error;
    throw new CheckpointError(error.message, { cause: error });
  }
}

async function buildParts(
  files: TokenizerFiles,
  { timeLimitMs, signal }: LongCall & { readonly timeLimitMs: number },
): Promise<TokenizerParts> {
  const library = await loadLibrary();
  const chatTemplates = await ChatTemplates.read(files);
  const file = files.json("tokenizer.json");
  const config = files.json("tokenizer_config.json");
  const model = await readModel(file.get("model"), library, new Turns(signal));
  const { vocabulary } = model;
  const specialTexts = readSpecialTokens(config, files.json("special_tokens_map.json"));
  const added = readAddedTokens(file, config, specialTexts, vocabulary);
  const decoder = readDecoder(file.get("decoder"), library);
  // As transformers does: what was made for words would eat spaces of the text that BPE keeps.
  const cleansUp =
    model.type !== "BPE" && (optionalFlag(config.get("clean_up_tokenization_spaces")) ?? false);
  return {
    files,
    vocabulary,
    specials: specialIds(specialTexts, config, vocabulary, model.unknown),
    specialTexts,
    skipped: new Set(added.filter(({ special }) => special).map(({ id }) => id)),
    encoder: new Encoder(file, model, added, library, timeLimitMs),
    frame: readFrame(file.get("post_processor"), vocabulary.size),
    decoder: cleansUp ? cleaned(decoder) : decoder,
    chatTemplates,
    timeLimitMs,
  };
}

function cleaned(decoder: Decoder): Decoder {
  return { ...decoder, begin: () => [...decoder.begin(), cleanedText()] };
}
