import { CheckpointError, UsageError, UserLlmError } from "../../errors.js";
import { withinTime } from "../pipeline/time-limit.js";
import { bound, boundedRange } from "./bounded.js";
import type { ChatMessage, ChatOptions } from "./chat-message.js";
import type { Jinja, JinjaNode } from "./jinja.js";
import { strftime } from "./strftime.js";

const longestTemplate = 1 << 20;

/** A template for conversations, which a model was trained with. Parsed when it is first used. */
export class ChatTemplate {
  #parsed: JinjaNode | undefined;

  /** @param place file and, where there are several in it, the template's name */
  constructor(
    readonly place: string,
    readonly source: string,
    readonly jinja: Jinja,
  ) {}

  /**
   * @param specials texts of special tokens by name: `bos_token`
   * @throws CheckpointError when the template is wrong, UsageError when it refuses the messages or takes too long
   */
  render(
    messages: readonly ChatMessage[],
    options: ChatOptions,
    specials: ReadonlyMap<string, string>,
    timeLimitMs: number,
  ): string {
    try {
      return withinTime(timeLimitMs, `chat template of ${this.place}`, () =>
        this.#render({
          ...Object.fromEntries(specials),
          ...options.values,
          messages,
          tools: options.tools ?? null,
          documents: options.documents ?? null,
          add_generation_prompt: options.addGenerationPrompt ?? false,
        }),
      );
    } catch (error) {
      if (error instanceof UserLlmError) throw error;
      throw new CheckpointError(
        `${this.place}: the chat template does not work: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  #render(values: Readonly<Record<string, unknown>>): string {
    const { Environment, Interpreter } = this.jinja;
    this.#parsed ??= this.#parse();
    const environment = new Environment();
    for (const [name, value] of Object.entries({ ...this.#globals(), ...values })) {
      environment.set(name, value);
    }
    const interpreter = new Interpreter(environment);
    bound(interpreter);
    return interpreter.run(this.#parsed).value as string;
  }

  #parse(): JinjaNode {
    if (this.source.length > longestTemplate) {
      throw new Error(`it is longer than ${longestTemplate} characters`);
    }
    // What is the model's in a conversation is marked for training by transformers; the text is the same.
    const source = this.source
      .replace(/(\{%[-+]?\s*)generation(\s*[-+]?%\})/g, "$1if true$2")
      .replace(/(\{%[-+]?\s*)endgeneration(\s*[-+]?%\})/g, "$1endif$2");
    return this.jinja.parse(
      this.jinja.tokenize(source, { lstrip_blocks: true, trim_blocks: true }),
    );
  }

  /** The constants and functions that transformers gives a template. */
  #globals(): Record<string, unknown> {
    return {
      true: true,
      false: false,
      none: null,
      True: true,
      False: false,
      None: null,
      range: boundedRange,
      strftime_now: (format: string) => strftime(new Date(), format),
      raise_exception: (message: unknown) => {
        throw new UsageError(`chat template of ${this.place}: ${message}`);
      },
    };
  }
}
