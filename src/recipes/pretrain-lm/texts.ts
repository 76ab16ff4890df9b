/** The texts of a pretraining, and the tokenizer that is learnt from them. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ReadPart, readDocuments, textFiles } from "../../data/index.js";
import { ConfigError, DataError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import { Tokenizer, trainByteLevelBpe } from "../../tokenizers/index.js";
import { type EncodedDocuments, encodeDocuments } from "../../train/index.js";
import type { PretrainLmConfig } from "./config.js";

/** Texts as tokens. */
export interface LmTexts {
  readonly tokenizer: Tokenizer;
  readonly training: EncodedDocuments;
  /** Undefined where nothing is held out. */
  readonly validation: EncodedDocuments | undefined;
}

/**
 * Reads all texts, and learns a tokenizer from those of training where none is given.
 *
 * @throws ConfigError when the tokenizer has no end token
 * @throws DataError when texts cannot be read, or none are left for training
 */
export async function openTexts(
  { texts, tokenizer: options }: PretrainLmConfig,
  longCall: LongCall,
): Promise<LmTexts> {
  const files = await textFiles(texts.files);
  const validationFiles = texts.validationFiles && (await textFiles(texts.validationFiles));
  const reading = { field: texts.field, separator: texts.separator, signal: longCall.signal };
  const heldOut = validationFiles === undefined ? texts.heldOut : null;
  const isHeldOut = ({ index }: ReadPart): boolean => heldOut !== null && index % heldOut === 0;
  const training = () => only(readDocuments(files, reading), (part) => !isHeldOut(part));

  const tokenizer =
    options.folder === undefined
      ? await learnTokenizer(training(), options, longCall)
      : await Tokenizer.load(options.folder, longCall);
  if (tokenizer.specials.eos === undefined)
    throw new ConfigError(
      `pretrainLm.tokenizer.folder: ${options.folder} has no end token, which is put between documents`,
    );
  const encoded = await encodeDocuments(tokenizer, training(), longCall);
  if (encoded.documents === 0)
    throw new DataError(
      `${texts.files.join(", ")}: no text is left for training; one document of ${heldOut} is held out, ` +
        "give pretrainLm.texts.separator, validationFiles, or heldOut: null",
    );
  const others = validationFiles
    ? readDocuments(validationFiles, reading)
    : only(readDocuments(files, reading), isHeldOut);
  const validation =
    validationFiles || heldOut !== null
      ? await encodeDocuments(tokenizer, others, longCall)
      : undefined;
  if (validation?.documents === 0)
    throw new DataError(`${validationFiles?.join(", ")}: there is no text to validate on`);
  return { tokenizer, training: encoded, validation };
}

async function* only(
  parts: AsyncIterable<ReadPart>,
  wanted: (part: ReadPart) => boolean,
): AsyncGenerator<ReadPart> {
  for await (const part of parts) if (wanted(part)) yield part;
}

async function* textsOf(parts: AsyncIterable<ReadPart>): AsyncGenerator<string> {
  for await (const { text } of parts) yield text;
}

async function learnTokenizer(
  parts: AsyncIterable<ReadPart>,
  { vocabulary, minFrequency, endToken }: PretrainLmConfig["tokenizer"],
  longCall: LongCall,
): Promise<Tokenizer> {
  const json = await trainByteLevelBpe(textsOf(parts), {
    ...{ vocabulary, minFrequency, specialTokens: [endToken], begin: endToken },
    ...longCall,
  });
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: endToken,
    eos_token: endToken,
    clean_up_tokenization_spaces: false,
  };
  const folder = await mkdtemp(join(tmpdir(), "user-llm-tokenizer-"));
  try {
    await writeFile(join(folder, "tokenizer.json"), `${JSON.stringify(json, null, 2)}\n`);
    await writeFile(join(folder, "tokenizer_config.json"), `${JSON.stringify(config, null, 2)}\n`);
    return await Tokenizer.load(folder, longCall);
  } finally {
    await rm(folder, { recursive: true });
  }
}
