import { UsageError } from "../errors.js";
import { defaultGenerator } from "../ops/index.js";
import type { LongCall } from "../progress.js";
import type { GenerationDefaults } from "./generation-defaults.js";

/** How an answer is made. */
export interface GenerateOptions extends LongCall {
  /** Tokens of an answer at most; fewer where the model has no positions for more. Default: 128. */
  maxNewTokens?: number | undefined;
  /**
   * Divides the logits before a token is drawn; 0 takes the most probable token. Default: 1 when `topK`, `topP` or `minP`
   * is given, else 0.
   */
  temperature?: number | undefined;
  /** Draws from the so many most probable tokens; 0 for all. Default: 0. */
  topK?: number | undefined;
  /** Draws from the fewest most probable tokens that have this probability together. Default: 1, which is all. */
  topP?: number | undefined;
  /** Draws from tokens with at least this share of the largest probability. Default: 0, which is all. */
  minP?: number | undefined;
  /**
   * Divides the logit of every token that the prompt or the answer has already, or multiplies it where it is negative:
   * above 1 repeats less. Default: 1.
   *
   * @see Keskar et al., "CTRL", arXiv:1909.05858
   */
  repetitionPenalty?: number | undefined;
  /** Answers that are followed side by side for the most probable one, as beam search does. Default: 1. */
  beams?: number | undefined;
  /** Of beam search: an answer's score is its log-probability divided by `length ** lengthPenalty`. Default: 1. */
  lengthPenalty?: number | undefined;
  /**
   * When beam search stops: `true` once there are `beams` whole answers; `false` when the best unfinished one would score
   * less, were it to end now; `"never"` when no unfinished one can score more. Default: false.
   */
  earlyStopping?: boolean | "never" | undefined;
  /** Of beam search: how many of its answers each prompt gets, best first. Default: 1. */
  numReturn?: number | undefined;
  /** Texts that end an answer; they are not part of it. Default: none. */
  stop?: string | readonly string[] | undefined;
  /** Tokens that end an answer. Default: those of the model, `model.generation.endTokens`. */
  endTokens?: readonly number[] | undefined;
  /**
   * What the draws start from, from 0 to 2⁵³ - 1. Each sequence has draws of its own: what it becomes depends on the seed
   * and its place among the prompts, not on those beside it. Default: the process's generator decides, which `seed()` sets.
   */
  seed?: number | undefined;
  /** Whether to give the model's log-probability of each token. Default: false. */
  logProbabilities?: boolean | undefined;
  /** The so many most probable tokens at each place, with their log-probabilities. Default: 0. */
  topLogProbabilities?: number | undefined;
  /** Sequences that are computed together; prompts beyond them wait. Default: 32. */
  batchSize?: number | undefined;
}

/** Options that are checked and complete. */
export interface GenerateSettings {
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly beams: number;
  readonly lengthPenalty: number;
  readonly earlyStopping: boolean | "never";
  readonly numReturn: number;
  readonly stop: readonly string[];
  readonly endTokens: ReadonlySet<number>;
  readonly seed: number;
  readonly logProbabilities: boolean;
  readonly topLogProbabilities: number;
  readonly batchSize: number;
}

/**
 * Checks options and completes them.
 *
 * @param vocabulary of the model
 * @throws UsageError when one is out of its range, or two contradict each other
 */
export function settle(
  options: GenerateOptions,
  { endTokens: modelEnd }: GenerationDefaults,
  vocabulary: number,
): GenerateSettings {
  const { topK = 0, topP = 1, minP = 0, stop = [], endTokens = modelEnd } = options;
  const filtered =
    options.topK !== undefined || options.topP !== undefined || options.minP !== undefined;
  const { seed = defaultGenerator.fork().state().seed, numReturn = 1 } = options;
  const settings: GenerateSettings = {
    ...{ topK, topP, minP, seed, numReturn },
    maxNewTokens: options.maxNewTokens ?? 128,
    temperature: options.temperature ?? (filtered ? 1 : 0),
    repetitionPenalty: options.repetitionPenalty ?? 1,
    beams: options.beams ?? 1,
    lengthPenalty: options.lengthPenalty ?? 1,
    earlyStopping: options.earlyStopping ?? false,
    stop: typeof stop === "string" ? [stop] : [...stop],
    endTokens: new Set(endTokens),
    logProbabilities: options.logProbabilities ?? false,
    topLogProbabilities: options.topLogProbabilities ?? 0,
    batchSize: options.batchSize ?? 32,
  };
  requireRanges(settings, vocabulary);
  requireAgreement(settings);
  return settings;
}

function requireRanges(settings: GenerateSettings, vocabulary: number): void {
  const whole = (name: keyof GenerateSettings, least: number, most: number): void => {
    const value = settings[name] as number;
    if (!(Number.isSafeInteger(value) && value >= least && value <= most))
      throw wrong(name, `a whole number from ${least} to ${most}`, value);
  };
  const number = (name: keyof GenerateSettings, least: number, most: number): void => {
    const value = settings[name] as number;
    if (!(value >= least && value <= most)) throw wrong(name, `from ${least} to ${most}`, value);
  };
  const most = 2 ** 31 - 1;
  whole("maxNewTokens", 1, most);
  number("temperature", 0, Number.MAX_VALUE);
  whole("topK", 0, most);
  number("topP", 0, 1);
  number("minP", 0, 1);
  if (!(settings.repetitionPenalty > 0 && settings.repetitionPenalty < Number.POSITIVE_INFINITY))
    throw wrong("repetitionPenalty", "above 0", settings.repetitionPenalty);
  whole("beams", 1, vocabulary);
  number("lengthPenalty", -Number.MAX_VALUE, Number.MAX_VALUE);
  whole("numReturn", 1, settings.beams);
  whole("seed", 0, Number.MAX_SAFE_INTEGER);
  whole("topLogProbabilities", 0, vocabulary);
  whole("batchSize", 1, most);
  if (![true, false, "never"].includes(settings.earlyStopping))
    throw wrong("earlyStopping", 'true, false or "never"', settings.earlyStopping);
  for (const text of settings.stop)
    if (typeof text !== "string" || text === "")
      throw wrong("stop", "texts that are not empty", text);
  for (const id of settings.endTokens)
    if (!(Number.isInteger(id) && id >= 0 && id < vocabulary))
      throw wrong("endTokens", `tokens from 0 to ${vocabulary - 1}`, id);
}

function requireAgreement({ beams, temperature, topLogProbabilities }: GenerateSettings): void {
  if (beams === 1) return;
  if (temperature > 0)
    throw new UsageError(
      `generate: beam search draws nothing; give beams, ${beams}, or a temperature, ${temperature}, not both`,
    );
  if (topLogProbabilities > 0)
    throw new UsageError("generate: beam search has no topLogProbabilities");
}

const wrong = (name: string, rule: string, got: unknown): UsageError =>
  new UsageError(`generate: ${name} must be ${rule}, got ${JSON.stringify(got) ?? String(got)}`);
