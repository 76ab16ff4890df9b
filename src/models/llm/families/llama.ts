import type { ConfigReader } from "../config-reader.js";
import type { DecoderOptions } from "../decoder-options.js";
import type { LlmFamily, NameTable } from "../family.js";
import { ropeOf } from "../rope.js";

/** The names that Llama's descendants share. */
export const llamaNames: NameTable = {
  embedding: "model.embed_tokens",
  "layers.*.attentionNorm": "model.layers.*.input_layernorm",
  "layers.*.attention.query": "model.layers.*.self_attn.q_proj",
  "layers.*.attention.key": "model.layers.*.self_attn.k_proj",
  "layers.*.attention.value": "model.layers.*.self_attn.v_proj",
  "layers.*.attention.output": "model.layers.*.self_attn.o_proj",
  "layers.*.mlpNorm": "model.layers.*.post_attention_layernorm",
  "layers.*.mlp.gate": "model.layers.*.mlp.gate_proj",
  "layers.*.mlp.up": "model.layers.*.mlp.up_proj",
  "layers.*.mlp.down": "model.layers.*.mlp.down_proj",
  norm: "model.norm",
  head: "lm_head",
};

/** The options that Llama's descendants share. */
export function llamaOptions(config: ConfigReader): DecoderOptions {
  const width = config.count("hidden_size");
  const heads = config.count("num_attention_heads");
  const headWidth = config.count("head_dim", width / heads);
  const bias = config.boolean("attention_bias", false);
  const mlpBias = config.boolean("mlp_bias", false);
  const dropout = config.number("attention_dropout", 0);
  config.expect("pretraining_tp", 1);
  return {
    ...{ width, heads, headWidth },
    vocabulary: config.count("vocab_size"),
    layers: config.count("num_hidden_layers"),
    kvHeads: config.count("num_key_value_heads", heads),
    hiddenWidth: config.count("intermediate_size"),
    maxPositions: config.count("max_position_embeddings", 2048),
    norm: { kind: "rms", eps: config.number("rms_norm_eps", 1e-6) },
    positions: ropeOf(config, headWidth),
    attention: { inputBias: bias, outputBias: bias },
    mlp: {
      kind: "gated",
      activation: config.choice("hidden_act", { silu: "silu", gelu_pytorch_tanh: "gelu" }, "silu"),
      bias: mlpBias,
    },
    tied: config.boolean("tie_word_embeddings", false),
    dropout: { attention: dropout },
  };
}

/** Llama 1 to 3, and what has its shape: SmolLM, TinyLlama. */
export const llama: LlmFamily = {
  name: "Llama",
  modelType: "llama",
  architecture: "LlamaForCausalLM",
  prefix: "model.",
  names: llamaNames,
  ignored: [/\.rotary_emb\.inv_freq$/],
  options: llamaOptions,
};
