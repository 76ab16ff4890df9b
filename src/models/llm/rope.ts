/** Rotary positions as `config.json` describes them, in the wording of transformers 4 and of transformers 5. */
import type { ConfigReader } from "./config-reader.js";
import type { DecoderRotary } from "./decoder-options.js";

/** Where a family says what, and what holds where it says nothing. */
export interface RopeKeys {
  /** Of the layers, where `rope_parameters` has an object for each kind: `full_attention`. Default: it has none. */
  readonly kind?: string | undefined;
  /** The base where there is none. Default: 10 000. */
  readonly base?: number | undefined;
  /** What transformers 4 calls the base. Default: `rope_theta`. */
  readonly baseKey?: string | undefined;
  /** Whether `rope_scaling` is of these layers. Default: true. */
  readonly scaled?: boolean | undefined;
  /** What transformers 4 calls the share of a head that turns, and the share where there is none. Default: all turns. */
  readonly share?: { readonly key: string; readonly otherwise: number } | undefined;
}

/**
 * Reads `rope_parameters`, or what transformers 4 has instead: `rope_theta` and `rope_scaling`.
 *
 * @param config    the whole configuration
 * @param headWidth elements of a head
 * @throws CheckpointError for a kind of scaling that is not supported
 * @see https://huggingface.co/docs/transformers/internal/rope_utils
 */
export function ropeOf(
  config: ConfigReader,
  headWidth: number,
  { kind, base: usual = 10_000, baseKey = "rope_theta", scaled = true, share }: RopeKeys = {},
): DecoderRotary {
  if (config.has("rope_parameters") && config.has("rope_scaling"))
    throw config.error("rope_scaling", "must not be there beside rope_parameters");
  const parameters = parametersOf(config, kind);
  const section = parameters ?? (scaled ? config.section("rope_scaling") : undefined);
  const base = section?.has("rope_theta")
    ? section.positive("rope_theta")
    : config.positive(baseKey, usual);
  const width = Math.trunc(headWidth * shareOf(config, section, share));
  if (!(width > 0 && width <= headWidth && width % 2 === 0))
    throw config.error(
      "partial_rotary_factor",
      `must turn an even number of a head's ${headWidth} elements, not ${width}`,
    );
  const frequencies = Array.from({ length: width / 2 }, (_, i) => base ** ((-2 * i) / width));
  const inverseFrequencies = section && scaleOf(section)(frequencies, section, config);
  return { base, width, style: "half", ...(inverseFrequencies && { inverseFrequencies }) };
}

/** The object of transformers 5 for layers of a kind. */
function parametersOf(config: ConfigReader, kind: string | undefined): ConfigReader | undefined {
  const parameters = config.section("rope_parameters");
  if (kind === undefined) {
    const nested = ["full_attention", "sliding_attention"].find((each) => parameters?.has(each));
    if (parameters && nested !== undefined)
      throw parameters.error(nested, "is not supported in this family, whose layers turn alike");
    return parameters;
  }
  if (parameters?.has("rope_theta") || parameters?.has("rope_type"))
    throw config.error("rope_parameters", "must have an object for each kind of layers");
  return parameters?.section(kind);
}

function shareOf(
  config: ConfigReader,
  section: ConfigReader | undefined,
  share: RopeKeys["share"],
): number {
  if (!share) {
    for (const each of [config, section]) each?.expect("partial_rotary_factor", 1);
    return 1;
  }
  const key = "partial_rotary_factor";
  if (section?.has(key)) return section.number(key);
  return config.number(share.key, config.number(key, share.otherwise));
}

/** What the angles are scaled by. */
function scaleOf(section: ConfigReader): Scale {
  const key = section.has("rope_type") ? "rope_type" : "type";
  if (!section.has(key) && section.has("factor"))
    throw section.error("rope_type", "must be there beside a factor");
  return section.choice(key, { default: none, linear, llama3 }, "default");
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
const llama3: Scale = (frequencies, scaling, config) => {
  const factor = scaling.number("factor");
  const low = scaling.number("low_freq_factor");
  const high = scaling.number("high_freq_factor");
  const key = "original_max_position_embeddings";
  const original = config.has(key)
    ? config.count(key)
    : scaling.count(key, config.count("max_position_embeddings", 2048));
  if (!(factor >= 1)) throw scaling.error("factor", "must be at least 1");
  if (!(high > low))
    throw scaling.error("high_freq_factor", `must be above low_freq_factor, ${low}`);
  return frequencies.map((frequency) => {
    const turns = (original * frequency) / (2 * Math.PI);
    const share = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    return frequency * (share + (1 - share) / factor);
  });
};
