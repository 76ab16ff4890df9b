/** A message of a conversation. Templates may read further fields: `tool_calls`, `name`, `reasoning_content`. */
export interface ChatMessage {
  /** Who speaks: `system`, `user`, `assistant`, or what the template knows besides. */
  readonly role: string;
  /** The text, or parts of it: `[{ type: "text", text: "..." }]`. */
  readonly content?: string | readonly Readonly<Record<string, unknown>>[] | null | undefined;
  readonly [field: string]: unknown;
}

export interface ChatOptions {
  /** Ends with what begins an answer, so that the model answers. Default false. */
  addGenerationPrompt?: boolean | undefined;
  /** Leaves the last message open, so that the model goes on with it. Default false. */
  continueFinalMessage?: boolean | undefined;
  /** Functions that the model may call, as JSON schemas. */
  tools?: readonly object[] | undefined;
  /** Texts to answer from: `{ title, text }`. */
  documents?: readonly object[] | undefined;
  /** Name of the template, where there are several. Default: `tool_use` when tools are given, else `default`. */
  template?: string | undefined;
  /** Further variables of the template: `{ enable_thinking: false }`. */
  values?: Readonly<Record<string, unknown>> | undefined;
}
