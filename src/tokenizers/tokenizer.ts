import { UsageError } from "../errors.js";
import type { LongCall } from "../progress.js";
import type { ChatMessage, ChatOptions } from "./chat/chat-message.js";
import { Decoding } from "./pipeline/decoding-step.js";
import { withinTime } from "./pipeline/time-limit.js";
import type { SpecialIds } from "./special-tokens.js";
import { TextStream } from "./text-stream.js";
import { readParts, type TokenizerParts } from "./tokenizer-parts.js";
import { Turns } from "./turns.js";

export interface TokenizerOptions extends LongCall {
  /**
   * How long a call may take that runs regular expressions of the tokenizer's own, or its chat template, in milliseconds.
   * Default 5,000.
   */
  timeLimitMs?: number | undefined;
}

export interface EncodeOptions {
  /** Adds the tokens that begin and end a sequence, as the tokenizer's post-processor says. Default true. */
  specialTokens?: boolean | undefined;
}

export interface DecodeOptions {
  /** Leaves special tokens out. Default true. */
  skipSpecialTokens?: boolean | undefined;
}

/** What is in them changes the ids. */
const encodingFiles = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];

/**
 * A tokenizer of Hugging Face's format: byte-level BPE, BPE and Unigram of SentencePiece, WordPiece. Encodes and decodes as
 * the `tokenizers` library of Python does.
 */
export class Tokenizer {
  readonly #parts: TokenizerParts;
  #fingerprint: string | undefined;

  private constructor(parts: TokenizerParts) {
    this.#parts = parts;
  }

  /**
   * Reads tokenizer.json, and tokenizer_config.json, special_tokens_map.json and chat templates where they are there.
   *
   * @throws CheckpointError when a file is missing or damaged, or asks for something that is not supported
   */
  static async load(folder: string, options: TokenizerOptions = {}): Promise<Tokenizer> {
    const { timeLimitMs = 5000 } = options;
    if (!(timeLimitMs >= 1 && timeLimitMs <= 2 ** 31 - 1)) {
      throw new UsageError(
        `Tokenizer.load: timeLimitMs must be at least 1 millisecond, got ${timeLimitMs}`,
      );
    }
    return new Tokenizer(
      await readParts(folder, { ...options, timeLimitMs: Math.ceil(timeLimitMs) }),
    );
  }

  /** One more than the largest id, so the least number of rows that an embedding of its tokens has. */
  get vocabularySize(): number {
    return this.#parts.vocabulary.size;
  }

  get specials(): SpecialIds {
    return this.#parts.specials;
  }

  /**
   * The ids of a text. Halves of surrogate pairs count as U+FFFD. Synchronous: 100 kB take some 30 ms.
   *
   * @throws UsageError when the text is none, or the tokenizer's regular expressions take longer than the time limit
   */
  encode(text: string, options: EncodeOptions = {}): Int32Array {
    const { encoder, frame } = this.#parts;
    if (typeof text !== "string") {
      throw new UsageError(`Tokenizer.encode: expected a text, got ${typeof text}`);
    }
    const ids = encoder.encode(text);
    if (options.specialTokens === false) return Int32Array.from(ids);
    return Int32Array.from([...frame.before, ...ids, ...frame.after]);
  }

  /** The text of ids. Ids that no token has are left out. */
  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    return this.#limited("Tokenizer.decode", () => {
      const decoding = new Decoding(this.#parts.decoder.begin());
      const tokenOf = this.#tokens(options);
      let text = "";
      for (let i = 0; i < ids.length; i++) {
        const token = tokenOf(ids[i]!);
        if (token !== undefined) text += decoding.push(token);
      }
      return text + decoding.end();
    });
  }

  /** Decodes tokens as they come, into text that is final. */
  stream(options: DecodeOptions = {}): TextStream {
    return new TextStream(new Decoding(this.#parts.decoder.begin()), this.#tokens(options), (run) =>
      this.#limited("TextStream", run),
    );
  }

  /** The token of an id, as the vocabulary writes it: `Ġthe`. */
  token(id: number): string | undefined {
    return this.#parts.vocabulary.token(id);
  }

  /** The id of a token, as the vocabulary writes it. */
  id(token: string): number | undefined {
    return this.#parts.vocabulary.id(token);
  }

  /**
   * The ids of several texts. Others get the event loop between two of them.
   *
   * @throws UsageError as {@link encode}
   */
  async encodeBatch(
    texts: readonly string[],
    options: EncodeOptions & LongCall = {},
  ): Promise<Int32Array[]> {
    const turns = new Turns(options.signal);
    const encoded: Int32Array[] = [];
    for (const text of texts) {
      encoded.push(this.encode(text, options));
      if (!turns.over) continue;
      const progress = { done: encoded.length, total: texts.length, unit: "rows" } as const;
      options.onProgress?.({ task: "encoding texts", ...progress });
      await turns.next();
    }
    return encoded;
  }

  /** Of all that its ids depend on: tokenizers with the same one encode alike. */
  async fingerprint(options: Pick<LongCall, "signal"> = {}): Promise<string> {
    this.#fingerprint ??= await this.#parts.files.hash(encodingFiles, options.signal);
    return this.#fingerprint;
  }

  /** Whether {@link chat} has a template to write conversations with. */
  get hasChatTemplate(): boolean {
    return this.#parts.chatTemplates !== undefined;
  }

  /**
   * A conversation as the model was trained to read it. Encode it with `specialTokens: false`: the template has written
   * them.
   *
   * @throws UsageError when there is no template, it refuses the messages, or it takes longer than the time limit
   * @throws CheckpointError when the template is wrong
   */
  chat(messages: readonly ChatMessage[], options: ChatOptions = {}): string {
    const { chatTemplates, files, specialTexts, timeLimitMs } = this.#parts;
    if (chatTemplates === undefined) {
      throw new UsageError(`Tokenizer.chat: ${files.folder} has no chat template`);
    }
    return chatTemplates.render(messages, options, specialTexts, timeLimitMs);
  }

  #tokens({ skipSpecialTokens = true }: DecodeOptions): (id: number) => string | undefined {
    const { skipped, vocabulary } = this.#parts;
    return (id) => (skipSpecialTokens && skipped.has(id) ? undefined : vocabulary.token(id));
  }

  #limited<Result>(what: string, run: () => Result): Result {
    const { decoder, timeLimitMs } = this.#parts;
    return decoder.isTrusted ? run() : withinTime(timeLimitMs, what, run);
  }

  /** Writes the files that it was read from into a folder, byte for byte. */
  save(folder: string, options: Pick<LongCall, "signal"> = {}): Promise<void> {
    return this.#parts.files.save(folder, options.signal);
  }
}
