import type { ConfigReader } from "../config-reader.js";
import type { DecoderOptions } from "../decoder-options.js";
import type { LlmFamily } from "../family.js";
import { ropeOf } from "../rope.js";
import { headsOf, plainActivations } from "./shared.js";

/** GPT-NeoX, and Pythia: attention and MLP in parallel, and a part of each head turns. */
export const gptNeoX: LlmFamily = {
  name: "GPT-NeoX",
  modelType: "gpt_neox",
  architecture: "GPTNeoXForCausalLM",
  prefix: "gpt_neox.",
  names: {
    embedding: "gpt_neox.embed_in",
    "layers.*.attentionNorm": "gpt_neox.layers.*.input_layernorm",
    "layers.*.attention.qkv": {
      name: "gpt_neox.layers.*.attention.query_key_value",
      layout: "heads",
    },
    "layers.*.attention.output": "gpt_neox.layers.*.attention.dense",
    "layers.*.mlpNorm": "gpt_neox.layers.*.post_attention_layernorm",
    "layers.*.mlp.up": "gpt_neox.layers.*.mlp.dense_h_to_4h",
    "layers.*.mlp.down": "gpt_neox.layers.*.mlp.dense_4h_to_h",
    norm: "gpt_neox.final_layer_norm",
    head: "embed_out",
  },
  ignored: [/\.attention\.(masked_)?bias$/, /\.rotary_emb\.inv_freq$/],
  options,
};

function options(config: ConfigReader): DecoderOptions {
  const { width, heads, headWidth } = headsOf(config);
  const bias = config.boolean("attention_bias", true);
  const dropout = config.number("hidden_dropout", 0);
  return {
    ...{ width, heads },
    vocabulary: config.count("vocab_size"),
    layers: config.count("num_hidden_layers"),
    hiddenWidth: config.count("intermediate_size"),
    maxPositions: config.count("max_position_embeddings", 2048),
    norm: { kind: "layer", eps: config.positive("layer_norm_eps", 1e-5) },
    positions: ropeOf(config, headWidth, {
      baseKey: "rotary_emb_base",
      share: { key: "rotary_pct", otherwise: 0.25 },
    }),
    attention: { packed: true, inputBias: bias, outputBias: bias },
    mlp: {
      kind: "plain",
      activation: config.choice("hidden_act", plainActivations, "gelu"),
      bias: true,
    },
    parallel: config.boolean("use_parallel_residual", true),
    tied: config.boolean("tie_word_embeddings", false),
    dropout: {
      attention: config.number("attention_dropout", 0),
      ...{ residual: dropout, embedding: dropout },
    },
  };
}
