import { UsageError } from "../../errors.js";
import { optional } from "../optional.js";
import type { TokenizerFiles } from "../tokenizer-files.js";
import type { ChatMessage, ChatOptions } from "./chat-message.js";
import { ChatTemplate } from "./chat-template.js";
import { continuing } from "./continue-final-message.js";
import { type Jinja, loadJinja } from "./jinja.js";

/** The templates of a tokenizer by name. */
export class ChatTemplates {
  private constructor(
    readonly folder: string,
    readonly templates: ReadonlyMap<string, ChatTemplate>,
  ) {}

  /** Those of the files, which go before those of tokenizer_config.json; `undefined` where there are none. */
  static async read(files: TokenizerFiles): Promise<ChatTemplates | undefined> {
    const sources = sourcesOf(files);
    if (sources.length === 0) return undefined;
    const jinja: Jinja = await loadJinja();
    const templates = sources.map(([name, place, source]): [string, ChatTemplate] => [
      name,
      new ChatTemplate(place, source, jinja),
    ]);
    return new ChatTemplates(files.folder, new Map(templates));
  }

  render(
    messages: readonly ChatMessage[],
    options: ChatOptions,
    specials: ReadonlyMap<string, string>,
    timeLimitMs: number,
  ): string {
    check(messages, options);
    const template = this.#choose(options);
    const render = (given: readonly ChatMessage[]): string =>
      template.render(given, options, specials, timeLimitMs);
    return options.continueFinalMessage ? continuing(messages, render) : render(messages);
  }

  #choose({ template: name, tools }: ChatOptions): ChatTemplate {
    const wanted =
      name ?? (tools !== undefined && this.templates.has("tool_use") ? "tool_use" : "default");
    const found = this.templates.get(wanted);
    if (found !== undefined) return found;
    const names = [...this.templates.keys()].map((each) => `"${each}"`).join(", ");
    throw new UsageError(
      `Tokenizer.chat: ${this.folder} has no chat template "${wanted}"; it has ${names}`,
    );
  }
}

type Source = [name: string, place: string, source: string];

function sourcesOf(files: TokenizerFiles): Source[] {
  const own = [...files.contents.keys()].filter((name) => name.endsWith(".jinja"));
  if (own.length > 0) {
    return own.map((name) => {
      const isDefault = name === "chat_template.jinja";
      const title = isDefault ? "default" : name.slice(name.lastIndexOf("/") + 1, -".jinja".length);
      return [title, files.path(name), files.text(name)!];
    });
  }
  const file = files.json("chat_template.json").get("chat_template");
  const place =
    file.value === undefined ? files.json("tokenizer_config.json").get("chat_template") : file;
  if (!Array.isArray(place.value)) {
    const source = optional(place, (given) => given.text());
    return source === undefined ? [] : [["default", place.file, source]];
  }
  return place.list().map((entry) => {
    const name = entry.get("name").text();
    return [name, `${place.file}, "${name}"`, entry.get("template").text()];
  });
}

function check(messages: readonly ChatMessage[], options: ChatOptions): void {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new UsageError("Tokenizer.chat: expected at least one message");
  }
  const wrong = messages.findIndex(
    (message: unknown) =>
      typeof message !== "object" ||
      message === null ||
      typeof (message as ChatMessage).role !== "string",
  );
  if (wrong >= 0) {
    throw new UsageError(`Tokenizer.chat: message ${wrong} must be an object with a role`);
  }
  if (options.continueFinalMessage && options.addGenerationPrompt) {
    throw new UsageError(
      "Tokenizer.chat: addGenerationPrompt begins an answer, continueFinalMessage goes on with one; choose one of them",
    );
  }
}
