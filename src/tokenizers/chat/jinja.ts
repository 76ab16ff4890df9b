/** What is used of `@huggingface/jinja`, whose own types do not resolve under Node's module rules. */
export interface Jinja {
  tokenize(template: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }): unknown;
  parse(tokens: unknown): JinjaNode;
  readonly Environment: new () => JinjaEnvironment;
  readonly Interpreter: new (environment: JinjaEnvironment) => JinjaInterpreter;
}

/** A node of a parsed template: `{ type: "For", ... }`. */
export interface JinjaNode {
  readonly type: string;
}

export interface JinjaEnvironment {
  set(name: string, value: unknown): unknown;
}

/** A value while a template runs: `{ type: "StringValue", value: "..." }`. */
export interface JinjaValue {
  readonly type: string;
  readonly value: unknown;
}

export interface JinjaInterpreter {
  evaluate(node: JinjaNode | undefined, environment: JinjaEnvironment): JinjaValue;
  run(program: JinjaNode): JinjaValue;
}

/** Loaded with the first tokenizer that has a chat template. */
export async function loadJinja(): Promise<Jinja> {
  return (await import("@huggingface/jinja")) as unknown as Jinja;
}
