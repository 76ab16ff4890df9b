/** Rotary positions as `config.json` describes them, in the wording of transformers 4 and of transformers 5. */
import type { ConfigReader } from "./config-reader.js";
import type { DecoderRotary } from "./decoder-options.js";

/**
 * Reads `rope_parameters`, or `rope_theta` and `rope_scaling`.
 *
 * @param config    the whole configuration
 * @param headWidth elements of a head
 * @param kind      of the layers, where `rope_parameters` has an object for each: `full_attention`
 * @throws CheckpointError for a kind of scaling that is not supported
 * @see https://huggingface.co/docs/transformers/internal/rope_utils
 */
export function ropeOf(config: ConfigReader, headWidth: number, kind?: string): DecoderRotary {
  const parameters = config.section("rope_parameters");
  const section = (kind === undefined ? undefined : parameters?.section(kind)) ?? parameters;
  const scaling = section ?? config.section("rope_scaling");
  const base = section?.has("rope_theta")
    ? section.number("rope_theta")
    : config.number("rope_theta", 10_000);
  const share = section?.has("partial_rotary_factor")
    ? section.number("partial_rotary_factor")
    : config.number("partial_rotary_factor", 1);
  const width = Math.trunc(headWidth * share);
  return ropeWith(base, width, scaling, config);
}

/** The positions of `width` elements that turn by `base`, scaled as `scaling` says. */
export function ropeWith(
  base: number,
  width: number,
  scaling: ConfigReader | undefined,
  config: ConfigReader,
): DecoderRotary {
  if (!(base > 0)) throw config.error("rope_theta", "must be positive");
  if (!(width > 0 && width % 2 === 0))
    throw config.error(
      "partial_rotary_factor",
      `must turn an even number of elements, not ${width}`,
    );
  const key = scaling?.has("rope_type") ? "rope_type" : "type";
  if (!scaling?.has(key)) return { base, width, style: "half" };
  const scale = scaling.choice(key, { default: none, linear, llama3 });
  const frequencies = Array.from({ length: width / 2 }, (_, i) => base ** ((-2 * i) / width));
  const inverseFrequencies = scale(frequencies, scaling, config);
  return { base, width, style: "half", ...(inverseFrequencies && { inverseFrequencies }) };
}

type Scale = (
  frequencies: readonly number[],
  scaling: ConfigReader,
  config: ConfigReader,
) => readonly number[] | undefined;

const none: Scale = () => undefined;

/** All angles divided by a factor. */
const linear: Scale = (frequencies, scaling) => {
  const factor = scaling.number("factor");
  if (!(factor >= 1)) throw scaling.error("factor", "must be at least 1");
  return frequencies.map((frequency) => frequency / factor);
};

/** Slow turns divided by a factor, quick ones left, those between a blend. */
const llama3: Scale = (frequencies, scaling) => {
  const factor = scaling.number("factor");
  const low = scaling.number("low_freq_factor");
  const high = scaling.number("high_freq_factor");
  const original = scaling.count("original_max_position_embeddings");
  if (!(factor >= 1)) throw scaling.error("factor", "must be at least 1");
  if (!(high > low))
    throw scaling.error("high_freq_factor", `must be above low_freq_factor, ${low}`);
  return frequencies.map((frequency) => {
    const turns = (original * frequency) / (2 * Math.PI);
    const share = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    return frequency * (share + (1 - share) / factor);
  });
};
