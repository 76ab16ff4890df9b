/** Conversations as examples. */
import test from "ava";
import { UsageError } from "../../src/errors.js";
import { answersOf } from "../../src/recipes/finetune/read-examples.js";
import type { ChatMessage } from "../../src/tokenizers/index.js";

const messages = [
  { role: "system", content: "Be short." },
  { role: "user", content: "Hi" },
  { role: "assistant", content: "Hello!" },
  { role: "user", content: "Bye" },
  { role: "assistant", content: "Bye." },
];

/** A tokenizer whose template ends answers so. */
const tokenizerWith = (after: string, begin = "assistant:") => ({
  specials: { eos: 2 },
  token: (id: number) => (id === 2 ? "</s>" : undefined),
  chat: (turns: readonly ChatMessage[], { addGenerationPrompt = false } = {}) =>
    turns
      .map(
        ({ role, content }) => `${role}:${content as string}${role === "assistant" ? after : ""}\n`,
      )
      .join("") + (addGenerationPrompt ? begin : ""),
});

test("each answer follows all that came before it; the end token is left to the encoder", (t) => {
  const first = "system:Be short.\nuser:Hi\nassistant:";
  for (const end of ["</s>", "</s>\n \n"])
    t.deepEqual(answersOf(messages, tokenizerWith(end)), [
      { prompt: first, completion: "Hello!" },
      { prompt: `${first}Hello!${end}\nuser:Bye\nassistant:`, completion: "Bye." },
    ]);
});

test("another end of a turn is learnt", (t) => {
  const [first] = answersOf(messages, tokenizerWith("<end_of_turn>"));
  t.is(first!.completion, "Hello!<end_of_turn>\n");
});

test("a template that writes an answer otherwise than it asks for one is refused", (t) => {
  t.throws(() => answersOf(messages, tokenizerWith("</s>", "assistant:<think>")), {
    instanceOf: UsageError,
    message: /writes message 2 \(from 0\) differently than after its own generation prompt/,
  });
});
