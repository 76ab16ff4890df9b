import { UsageError } from "../../errors.js";
import type { ChatMessage } from "./chat-message.js";

/** Marks where the last message ends. Ends with a space, to see whether the template trims what it is given. */
const mark = "CONTINUE_FINAL_MESSAGE_TAG ";

/** The conversation up to the end of its last message, without what a template puts after it. */
export function continuing(
  messages: readonly ChatMessage[],
  render: (messages: readonly ChatMessage[]) => string,
): string {
  const last = messages.at(-1)!;
  const { text, marked } = marking(last);
  const rendered = render([...messages.slice(0, -1), marked]);
  const end = rendered.lastIndexOf(mark.trim());
  if (end < 0 || !rendered.includes(text.trim())) {
    throw new UsageError(
      "Tokenizer.chat: continueFinalMessage does not work with this template, which changes the last message",
    );
  }
  const before = rendered.slice(0, end);
  return rendered.startsWith(mark, end) ? before : before.trimEnd();
}

/** The text to go on with, and its message with the mark at the end. */
function marking(message: ChatMessage): { text: string; marked: ChatMessage } {
  const { content } = message;
  if (typeof content === "string") {
    return { text: content, marked: { ...message, content: content + mark } };
  }
  const parts = Array.isArray(content) ? [...content] : [];
  const at = parts.findLastIndex((part) => typeof part?.text === "string");
  if (at < 0) {
    throw new UsageError("Tokenizer.chat: the last message has no text to continue");
  }
  const text = parts[at]!.text as string;
  parts[at] = { ...parts[at], text: text + mark };
  return { text, marked: { ...message, content: parts } };
}
