import { UsageError } from "../errors.js";
import type { ChatMessage } from "../tokenizers/index.js";
import type { AnsweringModel } from "./language-model.js";

/** What a model goes on from: a text, its ids, or a conversation that it is to answer. */
export type Prompt = string | Int32Array | readonly ChatMessage[];

/** One prompt, or several. */
export function promptsOf(given: Prompt | readonly Prompt[]): readonly Prompt[] {
  return isPrompt(given) ? [given] : given;
}

/** A list of objects is a conversation; lists of anything else are lists of prompts. */
function isPrompt(given: Prompt | readonly Prompt[]): given is Prompt {
  if (typeof given === "string" || given instanceof Int32Array) return true;
  if (!Array.isArray(given))
    throw new UsageError("generate: a prompt is a text, an Int32Array of ids, or messages");
  const [first] = given as readonly unknown[];
  return typeof first === "object" && first !== null && "role" in first;
}

/**
 * The ids of a prompt. An empty one is the token that begins a sequence.
 *
 * @param index of the prompt, for errors
 * @throws UsageError when there are no tokens, an id is none of the model, or it has no positions for an answer
 */
export function encodePrompt(
  { tokenizer, generation, decoder }: AnsweringModel,
  prompt: Prompt,
  index: number,
): Int32Array {
  const ids = idsOf();
  const { vocabulary, maxPositions } = decoder.options;
  const wrong = ids.find((id) => !(id >= 0 && id < vocabulary));
  if (wrong !== undefined)
    throw new UsageError(
      `generate: prompt ${index} has id ${wrong}, which is none of the model's ${vocabulary} tokens`,
    );
  if (ids.length === 0)
    throw new UsageError(
      `generate: prompt ${index} has no tokens, and the model has none that begins a sequence`,
    );
  if (ids.length >= maxPositions)
    throw new UsageError(
      `generate: prompt ${index} has ${ids.length} tokens; the model has ${maxPositions} positions, and at least one must be left for the answer`,
    );
  return ids;

  function idsOf(): Int32Array {
    if (prompt instanceof Int32Array) return prompt;
    const isText = typeof prompt === "string";
    const text = isText ? prompt : tokenizer.chat(prompt, { addGenerationPrompt: true });
    const ids = tokenizer.encode(text, { specialTokens: isText });
    const { beginToken } = generation;
    return ids.length === 0 && beginToken !== undefined ? Int32Array.of(beginToken) : ids;
  }
}
