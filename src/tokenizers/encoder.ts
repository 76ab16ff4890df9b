import type { Place } from "../data/files/json-place.js";
import { UsageError } from "../errors.js";
import { type AddedToken, AddedTokenFinder } from "./added-tokens.js";
import type { TokenizersLibrary } from "./library.js";
import type { Model } from "./models/model.js";
import { type Normalizer, readNormalizer } from "./pipeline/normalizer.js";
import { type PreTokenizer, readPreTokenizer } from "./pipeline/pre-tokenizer.js";
import { withinTime } from "./pipeline/time-limit.js";

const loneSurrogates = /\p{Cs}/gu;

/**
 * From a text to ids: added tokens are found, what is between them is normalised, cut into words, and the words are
 * segmented by the model.
 *
 * @see https://huggingface.co/docs/tokenizers/pipeline
 */
export class Encoder {
  readonly #normalizer: Normalizer | undefined;
  readonly #preTokenizer: PreTokenizer | undefined;
  readonly #raw: AddedTokenFinder;
  readonly #normalized: AddedTokenFinder;

  /** @param file tokenizer.json */
  constructor(
    file: Place,
    readonly model: Model,
    addedTokens: readonly AddedToken[],
    library: TokenizersLibrary,
    readonly timeLimitMs: number,
  ) {
    this.#normalizer = readNormalizer(file.get("normalizer"), library);
    this.#preTokenizer = readPreTokenizer(file.get("pre_tokenizer"), library);
    const raw = addedTokens.filter((token) => !token.normalized);
    const normalized = addedTokens.filter((token) => token.normalized);
    this.#raw = new AddedTokenFinder(raw.map((token) => [token.content, token]));
    const texts = this.#limited("Tokenizer.load", () =>
      normalized.map((token) => this.#normalize(token.content)),
    );
    this.#normalized = new AddedTokenFinder(normalized.map((token, i) => [texts[i]!, token]));
  }

  /** @throws UsageError when the tokenizer's own regular expressions take longer than the time limit */
  encode(text: string): number[] {
    try {
      return this.#limited("Tokenizer.encode", () => this.#encode(text));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new UsageError(
        `Tokenizer.encode: the text is too long, or becomes so (${error.message})`,
        { cause: error },
      );
    }
  }

  /** Runs without a limit where all patterns are known to be harmless: it takes as long as encoding a line. */
  #limited<Result>(what: string, run: () => Result): Result {
    const isTrusted =
      (this.#normalizer?.isTrusted ?? true) && (this.#preTokenizer?.isTrusted ?? true);
    return isTrusted ? run() : withinTime(this.timeLimitMs, what, run);
  }

  #encode(text: string): number[] {
    const ids: number[] = [];
    this.#raw.split(text.replace(loneSurrogates, "\uFFFD")).forEach((part, i) => {
      if (typeof part === "string") this.#encodeBetween(part, i === 0, ids);
      else ids.push(part.id);
    });
    return ids;
  }

  #encodeBetween(text: string, isFirst: boolean, ids: number[]): void {
    this.#normalized.split(this.#normalize(text)).forEach((part, i) => {
      if (typeof part !== "string") {
        ids.push(part.id);
        return;
      }
      for (const word of this.#preTokenizer?.apply(part, isFirst && i === 0) ?? [part]) {
        if (word !== "") this.model.segment(word, ids);
      }
    });
  }

  #normalize(text: string): string {
    return this.#normalizer?.apply(text) ?? text;
  }
}
