/** A small language model with random weights and its tokenizer, as a folder in Hugging Face's layout. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { ConfigReader, Decoder, llmFamilies, saveDecoder } from "../../src/models/index.js";
import { Generator } from "../../src/ops/index.js";
import { trainByteLevelBpe } from "../../src/tokenizers/index.js";
import { freshFolder } from "./trained-encoder.js";

const [begin, end] = ["<s>", "</s>"];

/** As ChatML, but with the tokenizer's own end token. */
const chatTemplate =
  "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}" +
  "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}" +
  "{% if add_generation_prompt %}[assistant] {% endif %}";

/**
 * @param texts what the tokenizer is learnt from
 * @returns the folder
 */
export async function tinyModel(
  t: ExecutionContext,
  texts: readonly string[],
  more: object = {},
): Promise<string> {
  const folder = join(await freshFolder(t), "tiny");
  await mkdir(folder);
  const specialTokens = [begin, end];
  const json = await trainByteLevelBpe(texts, { vocabulary: 300, specialTokens, begin });
  await writeFile(join(folder, "tokenizer.json"), JSON.stringify(json));
  const tokenizerConfig = { bos_token: begin, eos_token: end, chat_template: chatTemplate };
  await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify(tokenizerConfig));
  await writeFile(join(folder, "generation_config.json"), JSON.stringify({ eos_token_id: 1 }));
  const family = llmFamilies.find(({ modelType }) => modelType === "llama")!;
  const config = {
    ...{ architectures: ["LlamaForCausalLM"], model_type: "llama", vocab_size: 300 },
    ...{ hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2 },
    ...{ intermediate_size: 64, max_position_embeddings: 128, tie_word_embeddings: false, ...more },
  };
  using generator = new Generator(5);
  // Larger than usual initial weights: adapters have something to work with.
  using decoder = new Decoder(family.options(new ConfigReader(config)), { std: 0.2, generator });
  await saveDecoder(folder, decoder, { family, config });
  return folder;
}
