import type { LlmFamily } from "../family.js";
import { gemma } from "./gemma.js";
import { gemma2 } from "./gemma2.js";
import { gemma3 } from "./gemma3.js";
import { gptNeo } from "./gpt-neo.js";
import { gptNeoX } from "./gpt-neox.js";
import { gpt2 } from "./gpt2.js";
import { llama } from "./llama.js";
import { mistral } from "./mistral.js";
import { qwen2 } from "./qwen2.js";
import { qwen3 } from "./qwen3.js";

/** Every family that is supported, in the order in which documentation lists them. */
export const llmFamilies: readonly LlmFamily[] = [
  ...[gpt2, gptNeo, gptNeoX],
  ...[llama, mistral, qwen2, qwen3],
  ...[gemma, gemma2, gemma3],
];
