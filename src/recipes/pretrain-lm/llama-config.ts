import { ConfigError } from "../../errors.js";
import {
  ConfigReader,
  Decoder,
  type DecoderOptions,
  type LlmFamily,
  llmFamilies,
} from "../../models/index.js";
import type { Tokenizer } from "../../tokenizers/index.js";
import type { PretrainLmConfig } from "./config.js";

/** Llama's architecture. */
export const family: LlmFamily = llmFamilies.find(({ modelType }) => modelType === "llama")!;

/**
 * The `config.json` of the model that a configuration describes.
 *
 * @throws ConfigError when the widths do not go together
 */
export function llamaConfig(
  {
    width,
    layers,
    heads,
    kvHeads = heads,
    hiddenWidth,
    context,
    ...model
  }: PretrainLmConfig["model"],
  { vocabularySize, specials }: Tokenizer,
): Readonly<Record<string, unknown>> {
  const headWidth = width / heads;
  if (headWidth % 2 !== 0)
    throw new ConfigError(
      `pretrainLm.model: heads must be of an even width, got ${width} / ${heads} = ${headWidth}`,
    );
  if (heads % kvHeads !== 0)
    throw new ConfigError(`pretrainLm.model: kvHeads ${kvHeads} must divide heads ${heads}`);
  return {
    architectures: [family.architecture],
    model_type: family.modelType,
    vocab_size: vocabularySize,
    hidden_size: width,
    intermediate_size: hiddenWidth ?? 32 * Math.ceil((8 * width) / 3 / 32),
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headWidth,
    hidden_act: "silu",
    max_position_embeddings: context,
    rope_theta: model.ropeBase,
    rms_norm_eps: 1e-5,
    attention_bias: false,
    mlp_bias: false,
    attention_dropout: model.dropout,
    initializer_range: 0.02,
    tie_word_embeddings: true,
    bos_token_id: specials.bos ?? null,
    eos_token_id: specials.eos ?? null,
    use_cache: true,
  };
}

/** The decoder of a `config.json`, with initial weights and the dropout of training. */
export function makeDecoder(
  config: Readonly<Record<string, unknown>>,
  { dropout, precision }: PretrainLmConfig["model"],
): Decoder {
  const options: DecoderOptions = {
    ...family.options(new ConfigReader(config)),
    dropout: { attention: dropout, residual: dropout, embedding: dropout },
  };
  return new Decoder(options, { precision });
}
