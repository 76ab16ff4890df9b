import type { Decoding } from "./pipeline/decoding-step.js";

/**
 * Text from tokens as they come, in whole characters. What was given out stays: all of it together is what `decode` makes
 * of all tokens. A piece may be empty while a character, a run of byte tokens or a space waits for what follows.
 */
export class TextStream {
  readonly #decoding: Decoding;
  readonly #tokenOf: (id: number) => string | undefined;

  readonly #limited: (run: () => string) => string;

  /** @internal */
  constructor(
    decoding: Decoding,
    tokenOf: (id: number) => string | undefined,
    limited: (run: () => string) => string,
  ) {
    this.#decoding = decoding;
    this.#tokenOf = tokenOf;
    this.#limited = limited;
  }

  /** Takes the next token; returns the text that is certain now and was not before. */
  push(id: number): string {
    const token = this.#tokenOf(id);
    return token === undefined ? "" : this.#limited(() => this.#decoding.push(token));
  }

  /** The rest; an incomplete character is U+FFFD. Nothing may be pushed after it. */
  end(): string {
    return this.#limited(() => this.#decoding.end());
  }
}
