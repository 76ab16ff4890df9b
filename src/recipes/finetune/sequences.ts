/** What a language model is fine-tuned on: examples or texts as sequences of tokens. */
import { type ReadPart, readDocuments, textFiles } from "../../data/index.js";
import { ConfigError, DataError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import type { Tokenizer } from "../../tokenizers/index.js";
import {
  encodeDocuments,
  encodeExamples,
  type LanguageExample,
  type TokenSequences,
  textWindows,
} from "../../train/index.js";
import type { FinetuneConfig } from "./config.js";
import { readExamples } from "./read-examples.js";

/** Sequences, and how many examples lost the beginning of their prompts. */
export interface FinetuningData {
  readonly sequences: TokenSequences;
  readonly shortened: number;
}

/** Training and validation apart. */
export interface FinetuningParts {
  readonly training: FinetuningData;
  /** Undefined where nothing is held out. */
  readonly validation: FinetuningData | undefined;
}

/** With the length decided. */
type SequenceConfig = FinetuneConfig & { readonly length: number };

/** Files, and which of their examples. */
interface Part {
  readonly files: readonly string[];
  wanted(index: number): boolean;
}

/**
 * Reads and encodes all examples.
 *
 * @throws ConfigError when there are conversations, but the model has no chat template
 * @throws DataError when a file cannot be read, a line is not as it should be, an example is too long, or none are left
 */
export async function openSequences(
  config: SequenceConfig,
  tokenizer: Tokenizer,
  longCall: LongCall,
): Promise<FinetuningParts> {
  const { files, validationFiles, heldOut, messages } = config.data;
  if (messages !== undefined && !tokenizer.hasChatTemplate)
    throw new ConfigError(
      `finetune.data.messages: ${config.llm} has no chat template to write conversations with`,
    );
  const share = validationFiles === undefined ? heldOut : null;
  const isHeldOut = (index: number) => share !== null && index % share === 0;
  const encode = async (part: Part, what: string) => {
    const data = await encodePart(config, tokenizer, part, longCall);
    if (data.sequences.count > 0) return data;
    throw new DataError(`${part.files.join(", ")}: there is no example to ${what}`);
  };
  const training = await encode({ files, wanted: (index) => !isHeldOut(index) }, "train on");
  const others = validationFiles
    ? { files: validationFiles, wanted: () => true }
    : { files, wanted: isHeldOut };
  const validation =
    validationFiles || share !== null ? await encode(others, "validate on") : undefined;
  return { training, validation };
}

async function encodePart(
  { data, length, tooLong }: SequenceConfig,
  tokenizer: Tokenizer,
  part: Part,
  longCall: LongCall,
): Promise<FinetuningData> {
  if (data.text === undefined) {
    const options = { length, tooLong, specialTokens: data.messages === undefined, ...longCall };
    return await encodeExamples(tokenizer, examplesOf(part, data, tokenizer, longCall), options);
  }
  const { text: field, separator } = data;
  const documents = readDocuments(await textFiles(part.files), { field, separator, ...longCall });
  const { tokens } = await encodeDocuments(tokenizer, only(documents, part), longCall);
  return { sequences: textWindows(tokens, length), shortened: 0 };
}

async function* examplesOf(
  { files, wanted }: Part,
  data: FinetuneConfig["data"],
  tokenizer: Tokenizer,
  longCall: LongCall,
): AsyncGenerator<LanguageExample> {
  for await (const { example, index } of readExamples(files, data, { tokenizer, ...longCall }))
    if (wanted(index)) yield example;
}

async function* only(parts: AsyncIterable<ReadPart>, { wanted }: Part): AsyncGenerator<ReadPart> {
  for await (const part of parts) if (wanted(part.index)) yield part;
}
