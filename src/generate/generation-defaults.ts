import { join } from "node:path";
import { CheckpointError } from "../errors.js";
import { ConfigReader, readJsonObjectIfThere } from "../models/index.js";
import type { Tokenizer } from "../tokenizers/index.js";

/** How the makers of a model would have it sample: options of `generate`, for those who want them. */
export interface RecommendedSampling {
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
}

/** What a model folder says of generation. */
export interface GenerationDefaults {
  /** Tokens that end an answer. */
  readonly endTokens: readonly number[];
  /** Begins a sequence, where the model has such a token. */
  readonly beginToken?: number | undefined;
  /** Empty where the makers recommend nothing, or the most probable token. */
  readonly recommended: RecommendedSampling;
}

/**
 * Reads `generation_config.json`, where there is one; its ids come before those of `config.json`, and these before the
 * tokenizer's.
 *
 * @throws CheckpointError when a value is none, or an id is no token of the model
 */
export async function readGenerationDefaults(
  folder: string,
  config: Readonly<Record<string, unknown>>,
  { vocabulary, tokenizer }: { vocabulary: number; tokenizer: Tokenizer },
): Promise<GenerationDefaults> {
  const path = join(folder, "generation_config.json");
  const reader = new ConfigReader((await readJsonObjectIfThere(path)) ?? {}, path);
  const model = new ConfigReader(config, join(folder, "config.json"));
  const idsOf = (key: string): readonly number[] | undefined =>
    readIds(reader, key, vocabulary) ?? readIds(model, key, vocabulary);
  const { bos, eos } = tokenizer.specials;
  return {
    endTokens: idsOf("eos_token_id") ?? (eos === undefined ? [] : [eos]),
    beginToken: idsOf("bos_token_id")?.[0] ?? bos,
    recommended: readRecommended(reader),
  };
}

/** One id or a list. */
function readIds(
  reader: ConfigReader,
  key: string,
  vocabulary: number,
): readonly number[] | undefined {
  if (!reader.has(key)) return undefined;
  const value = reader.json[key];
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  const fits = (id: unknown): id is number =>
    Number.isInteger(id) && (id as number) >= 0 && (id as number) < vocabulary;
  if (ids.every(fits)) return [...new Set(ids)];
  throw reader.error(key, `must be a token from 0 to ${vocabulary - 1}, or a list of them`);
}

function readRecommended(reader: ConfigReader): RecommendedSampling {
  const number = (key: string, least: number, most = Number.MAX_VALUE): number | undefined => {
    if (!reader.has(key)) return undefined;
    const value = reader.number(key);
    if (value < least || value > most)
      throw new CheckpointError(
        `${reader.file}: ${key} must be from ${least} to ${most}, got ${value}`,
      );
    return value;
  };
  const repetitionPenalty = number("repetition_penalty", Number.MIN_VALUE);
  const given = {
    ...(reader.boolean("do_sample", false) && {
      temperature: number("temperature", 0) ?? 1,
      topK: number("top_k", 0),
      topP: number("top_p", 0, 1),
      minP: number("min_p", 0, 1),
    }),
    repetitionPenalty,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}
