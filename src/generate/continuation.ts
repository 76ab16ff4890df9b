import type { Tokenizer } from "../tokenizers/index.js";
import { AnswerText } from "./answer-text.js";
import type {
  FinishReason,
  Generation,
  GenerationChunk,
  TokenLogProbability,
} from "./generation.js";
import type { GenerateSettings } from "./options.js";

/** A token that was chosen, with what was asked for beside it. */
export interface ChosenToken {
  readonly id: number;
  readonly logProbability?: number | undefined;
  readonly top?: readonly TokenLogProbability[] | undefined;
}

/** An answer in the making. */
export class Continuation {
  readonly #ids: number[] = [];
  readonly #logProbabilities: number[] = [];
  readonly #tops: (readonly TokenLogProbability[])[] = [];
  readonly #answer: AnswerText;
  #text = "";
  #reason: FinishReason | undefined;
  /** What no chunk has taken yet. */
  #fresh = "";
  /** How many tokens chunks have taken. */
  #taken = 0;

  /** @param limit tokens at most */
  constructor(
    tokenizer: Tokenizer,
    readonly prompt: Int32Array,
    readonly limit: number,
    readonly settings: GenerateSettings,
  ) {
    this.#answer = new AnswerText(tokenizer, prompt, settings.stop);
  }

  get finished(): boolean {
    return this.#reason !== undefined;
  }

  /** The token that came last. */
  get last(): number {
    return this.#ids.at(-1)!;
  }

  /** Takes the next token, and sees whether it is the last. */
  accept({ id, logProbability, top }: ChosenToken): void {
    this.#ids.push(id);
    if (logProbability !== undefined) this.#logProbabilities.push(logProbability);
    if (top !== undefined) this.#tops.push(top);
    if (this.settings.endTokens.has(id)) return this.#finish("stop");
    this.#show(this.#answer.push(id));
    if (this.#answer.stopped || this.#ids.length === this.limit) this.#finish("length");
  }

  /** What has come since the last call; undefined when there is nothing to show. */
  takeChunk(): GenerationChunk | undefined {
    const text = this.#fresh;
    const isRest = this.finished && this.#taken < this.#ids.length;
    if (text === "" && !isRest) return undefined;
    const ids = this.#ids.slice(this.#taken);
    const logProbabilities = this.#logProbabilities.slice(this.#taken);
    this.#fresh = "";
    this.#taken = this.#ids.length;
    return { text, ids, ...(this.settings.logProbabilities && { logProbabilities }) };
  }

  result(): Generation {
    const { logProbabilities, topLogProbabilities } = this.settings;
    return {
      text: this.#text,
      ids: Int32Array.from(this.#ids),
      reason: this.#reason!,
      promptTokens: this.prompt.length,
      ...(logProbabilities && { logProbabilities: this.#logProbabilities }),
      ...(topLogProbabilities > 0 && { topLogProbabilities: this.#tops }),
    };
  }

  #show(text: string): void {
    this.#text += text;
    this.#fresh += text;
  }

  #finish(reason: FinishReason): void {
    this.#show(this.#answer.end());
    this.#reason = this.#answer.stopped ? "stop-string" : reason;
  }
}
