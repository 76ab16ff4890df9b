import { Int32List } from "../../data/collect/lists.js";
import { DataError, UsageError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import { Turns } from "../../tokenizers/turns.js";
import { TokenSequences } from "./token-sequences.js";

/** What encoding needs of a tokenizer; `Tokenizer` has it. */
export interface TextEncoding {
  /** Tokens of a text; with `specialTokens`, those that the tokenizer puts around it, too. */
  encode(text: string, options?: { specialTokens?: boolean }): Int32Array;
  readonly specials: { readonly eos?: number | undefined };
}

/** A text to learn: the completion is to be foretold, given the prompt. */
export interface LanguageExample {
  /** Read, but not learnt. Default: none. */
  readonly prompt?: string | undefined;
  /** An end token is put after it. */
  readonly completion: string;
}

export interface EncodeExamplesOptions extends LongCall {
  /** Most inputs of an example. */
  length: number;
  /**
   * What is done about a longer one. `error`: it is refused. `shorten-prompt`: its prompt loses its oldest tokens, but for
   * a beginning token; a completion that is too long without any prompt is refused. Default: `error`.
   */
  tooLong?: "error" | "shorten-prompt" | undefined;
  /**
   * Whether an example begins with the special tokens that the tokenizer puts in front of a text. `false` for prompts that
   * have them already, as those of a chat template. Default: true.
   */
  specialTokens?: boolean | undefined;
}

/** Examples, encoded. */
export interface EncodedExamples {
  readonly sequences: TokenSequences;
  /** Examples whose prompts were shortened. */
  readonly shortened: number;
}

/**
 * Turns examples into sequences whose losses are those of the completion and its end token alone.
 *
 * A prompt has the tokens that it has by itself, as generation will see it; the completion has those that follow when both
 * are encoded together, or, where a token would lie across the border, those that it has by itself.
 *
 * @throws DataError for an example that is too long, or has nothing to foretell, with its index
 * @throws UsageError when the tokenizer has no end token
 */
export async function encodeExamples(
  tokenizer: TextEncoding,
  examples: Iterable<LanguageExample> | AsyncIterable<LanguageExample>,
  options: EncodeExamplesOptions,
): Promise<EncodedExamples> {
  const { length, tooLong, specialTokens = true, signal, onProgress } = options;
  const { eos } = tokenizer.specials;
  if (eos === undefined)
    throw new UsageError("encodeExamples: the tokenizer has no end token, which completions need");
  const beginning = specialTokens ? beginningOf(tokenizer) : new Int32Array();
  const [tokens, contexts] = [new Int32List(), new Int32List()];
  const ends: number[] = [];
  let shortened = 0;
  const turns = new Turns(signal);
  for await (const example of examples) {
    const whole = encodeExample(tokenizer, example, eos);
    const part = fitted(whole, beginning.length, { length, tooLong }, ends.length);
    if (part !== whole) shortened++;
    tokens.pushAll(beginning);
    tokens.pushAll(part.prompt);
    tokens.pushAll(part.completion);
    contexts.push(Math.max(1, beginning.length + part.prompt.length));
    ends.push(tokens.length);
    if (!turns.over) continue;
    onProgress?.({ task: "encoding examples", done: ends.length, unit: "rows" });
    await turns.next();
  }
  const spans = {
    starts: Float64Array.from(ends, (_, i) => ends[i - 1] ?? 0),
    ends: Float64Array.from(ends),
    contexts: contexts.toArray(),
  };
  return { sequences: new TokenSequences(tokens.toArray(), spans), shortened };
}

/** Tokens of an example. */
interface ExampleTokens {
  /** After the beginning tokens. */
  readonly prompt: Int32Array;
  /** With the end token. */
  readonly completion: Int32Array;
}

function encodeExample(
  tokenizer: TextEncoding,
  { prompt: text = "", completion }: LanguageExample,
  end: number,
): ExampleTokens {
  const encode = (part: string) => tokenizer.encode(part, { specialTokens: false });
  const prompt = encode(text);
  const both = encode(text + completion);
  const follows = prompt.every((id, i) => id === both[i]);
  const answer = follows ? both.subarray(prompt.length) : encode(completion);
  return { prompt, completion: Int32Array.of(...answer, end) };
}

/** The special tokens that the tokenizer puts in front of a text. */
function beginningOf(tokenizer: TextEncoding): Int32Array {
  const bare = tokenizer.encode("a", { specialTokens: false });
  const full = tokenizer.encode("a", { specialTokens: true });
  const begins = (start: number) => bare.every((id, i) => id === full[start + i]);
  const start = [...full.keys()].find(begins);
  return full.slice(0, start ?? 0);
}

/** The example with as much of its prompt as fits behind the beginning. */
function fitted(
  example: ExampleTokens,
  beginning: number,
  { length, tooLong }: Pick<EncodeExamplesOptions, "length" | "tooLong">,
  index: number,
): ExampleTokens {
  const { prompt, completion } = example;
  const inputs = beginning + prompt.length + completion.length - 1;
  if (inputs === 0) throw new DataError(`example ${index} (from 0) is empty`);
  if (inputs <= length) return example;
  if (tooLong !== "shorten-prompt")
    throw new DataError(`example ${index} (from 0) has ${inputs} inputs, at most ${length} fit`);
  const kept = prompt.length - (inputs - length);
  // Something has to be read before the first token of the completion, or that could not be learnt.
  const least = beginning === 0 && prompt.length > 0 ? 1 : 0;
  if (kept < least)
    throw new DataError(
      `example ${index} (from 0): its completion of ${completion.length} tokens, with the end token, ` +
        `does not fit in ${length} inputs`,
    );
  return { prompt: prompt.subarray(prompt.length - kept), completion };
}
