import type { LlmFamily } from "../family.js";
import { gptNeo } from "./gpt-neo.js";
import { llama } from "./llama.js";

/** Every family that is supported, in the order in which documentation lists them. */
export const llmFamilies: readonly LlmFamily[] = [gptNeo, llama];
