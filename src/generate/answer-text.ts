import type { TextStream, Tokenizer } from "../tokenizers/index.js";
import { StopStrings } from "./stop-strings.js";

/** Tokens of the prompt that the first ones of an answer may depend on. */
const contextTokens = 16;

/**
 * The text of an answer, as its tokens come: as it reads after the prompt, in whole characters, up to a stop string.
 */
export class AnswerText {
  readonly #stream: TextStream;
  readonly #stops: StopStrings;
  /** Text of the prompt that the stream has not given yet. */
  #ofPrompt: string;

  constructor(tokenizer: Tokenizer, prompt: Int32Array, stops: readonly string[]) {
    this.#stream = tokenizer.stream();
    this.#stops = new StopStrings(stops);
    // A tokenizer of words writes no space before the first; so the answer's first must not be the stream's.
    const context = prompt.subarray(Math.max(0, prompt.length - contextTokens));
    let given = 0;
    for (const id of context) given += this.#stream.push(id).length;
    this.#ofPrompt = tokenizer.decode(context).slice(given);
  }

  /** Whether a stop string has come. */
  get stopped(): boolean {
    return this.#stops.found;
  }

  /** Takes the next token; returns the text that is certain now. */
  push(id: number): string {
    return this.#stops.push(this.#afterPrompt(this.#stream.push(id)));
  }

  /** The rest. */
  end(): string {
    return this.#stops.push(this.#afterPrompt(this.#stream.end())) + this.#stops.end();
  }

  #afterPrompt(text: string): string {
    let shared = 0;
    while (shared < text.length && text[shared] === this.#ofPrompt[shared]) shared++;
    this.#ofPrompt = shared === text.length ? this.#ofPrompt.slice(shared) : "";
    return text.slice(shared);
  }
}
