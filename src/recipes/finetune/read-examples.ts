import { openJsonLines } from "../../data/formats/json-lines.js";
import { type Row, type RowReader, textFiles } from "../../data/index.js";
import { UsageError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import type { ChatMessage, Tokenizer } from "../../tokenizers/index.js";
import type { LanguageExample } from "../../train/index.js";
import type { FinetuneConfig } from "./config.js";

type DataConfig = FinetuneConfig["data"];

/** An example, and the line that it comes from. */
export interface ReadExample {
  readonly example: LanguageExample;
  /** Number of the line, in all files, from 0. A conversation has an example for each answer. */
  readonly index: number;
}

/**
 * Reads prompts and completions, or conversations, from files of JSON lines.
 *
 * @throws DataError when a file cannot be read, or a line is not as it should be, with file and line
 */
export async function* readExamples(
  patterns: readonly string[],
  config: DataConfig,
  { tokenizer, signal, onProgress }: LongCall & { readonly tokenizer: Tokenizer },
): AsyncGenerator<ReadExample> {
  const onError = (error: Error): never => {
    throw error;
  };
  let index = 0;
  for (const file of await textFiles(patterns)) {
    const reader = await openJsonLines(file, { requireColumns: true }, { signal, onError });
    try {
      const read =
        config.messages === undefined ? pairs(reader, config) : chats(reader, config, tokenizer);
      for await (const rows of reader.rows()) {
        for (const row of rows) {
          for (const example of read(row)) yield { example, index };
          index++;
        }
        const { name, bytes: total, bytesRead: done } = reader;
        onProgress?.({ task: `reading ${name}`, done, total, unit: "bytes" });
      }
    } finally {
      await reader.close();
    }
  }
}

type ReadRow = (row: Row) => readonly LanguageExample[];

function pairs(reader: RowReader, config: DataConfig): ReadRow {
  const completion = reader.column(config.completion);
  const prompt = reader.column(config.prompt);
  return (row) => {
    const text = row.text(completion);
    if (text === undefined) throw row.error(completion, "expected a text");
    return [{ prompt: row.text(prompt), completion: text }];
  };
}

function chats(reader: RowReader, config: DataConfig, tokenizer: Tokenizer): ReadRow {
  const column = reader.column(config.messages!);
  return (row) => {
    const messages = row.value(column);
    if (!isConversation(messages))
      throw row.error(column, "expected a list of messages, each with a role");
    try {
      const examples = answersOf(messages, tokenizer);
      if (examples.length > 0) return examples;
    } catch (cause) {
      if (!(cause instanceof UsageError)) throw cause;
      throw row.error(column, cause.message);
    }
    throw row.error(column, "expected an answer of the assistant");
  };
}

const isConversation = (value: unknown): value is readonly ChatMessage[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every(
    (each) =>
      typeof each === "object" && each !== null && "role" in each && typeof each.role === "string",
  );

/**
 * An example for each answer of the assistant: the conversation before it, just as generation would see it, is the prompt.
 *
 * @throws UsageError when the template refuses the messages, or an answer does not follow what it is to follow
 */
export function answersOf(
  messages: readonly ChatMessage[],
  tokenizer: Pick<Tokenizer, "chat" | "specials" | "token">,
): LanguageExample[] {
  return [...messages.entries()]
    .filter(([, { role }]) => role === "assistant")
    .map(([i]) => {
      const prompt = tokenizer.chat(messages.slice(0, i), { addGenerationPrompt: true });
      const whole = tokenizer.chat(messages.slice(0, i + 1));
      if (!whole.startsWith(prompt))
        throw new UsageError(
          `the chat template writes message ${i} (from 0) differently than after its own generation prompt`,
        );
      return { prompt, completion: withoutEnd(whole.slice(prompt.length), tokenizer) };
    });
}

/** What templates write after the answer: the end token, which examples get anyway. */
function withoutEnd(text: string, tokenizer: Pick<Tokenizer, "specials" | "token">): string {
  const { eos } = tokenizer.specials;
  const end = eos === undefined ? undefined : tokenizer.token(eos);
  const trimmed = text.trimEnd();
  return end !== undefined && trimmed.endsWith(end) ? trimmed.slice(0, -end.length) : text;
}
