import type { ConfigReader } from "./config-reader.js";

/**
 * Refuses what a configuration may ask of a model of any family and what is not done here. Keys that transformers' code
 * for the family does not read change nothing there, and are not looked at here.
 *
 * @throws CheckpointError that names the key
 */
export function refuseUnsupportedKeys(config: ConfigReader): void {
  for (const key of ["text_config", "vision_config", "audio_config"])
    if (config.has(key))
      throw config.error(
        "model_type",
        `is of a model of more than text, with a ${key}; supported are models of text alone`,
      );
  for (const key of ["quantization_config", "compression_config"])
    if (config.has(key)) throw config.error(key, "is not supported: weights must not be quantised");
  for (const key of ["per_layer_config", "pruned_heads"])
    if (config.has(key) && Object.keys(config.json[key] as object).length > 0)
      throw config.error(key, "is not supported: layers must be alike");
  if (config.section("auto_map")?.has("AutoModelForCausalLM"))
    throw config.error("auto_map", "names a model with code of its own, which is never run");
  config.expect("is_causal", true);
  for (const key of ["is_encoder_decoder", "add_cross_attention", "use_bidirectional_attention"])
    config.expect(key, false);
}
