import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { type ConfigObject, checkConfig, type Layer, nest, valueAt } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { type Config, configSchema } from "./config.js";
import type { SweepConfig, SweepParameter } from "./sweep-config.js";

export type OptionValue = string | number | boolean | null;
/** Values that a trial gives to options, by option. */
export type TrialValues = Readonly<Record<string, OptionValue>>;

/** A combination to try. */
export interface Trial {
  /** From 1. */
  readonly number: number;
  readonly values: TrialValues;
  /** The whole configuration with these values, and without the sweep: that of a single run. */
  readonly config: Config;
}

type Parameters = readonly (readonly [path: string, parameter: SweepParameter])[];
type Range = Extract<SweepParameter, { min: number }>;

const mostTrials = 1000;
const defaultTrials = 20;
/** Of combinations, those drawn before included; only ranges without room for the trials need so many. */
const mostDraws = 100_000;

/** Options that decide what is measured: trials that differ in them could not be compared. */
const fixed = ["data.out", "evaluate", "pretrain.monitor", "pretrain.validationUsers", "sweep"];

/**
 * The trials of a sweep: the same list for the same section, on any machine. A random sweep of more trials begins with
 * those of one of fewer.
 *
 * @param layers the configuration as it was given, with the sweep
 * @throws ConfigError when an option is not there or cannot be varied, a value does not suit it, or there are too many
 * combinations, too few, or none
 */
export async function trialsOf(sweep: SweepConfig, layers: readonly Layer[]): Promise<Trial[]> {
  const parameters: Parameters = Object.entries(sweep.parameters);
  if (parameters.length === 0) throw new ConfigError("sweep.parameters: there is nothing to vary");
  for (const [path, parameter] of parameters) checkParameter(path, parameter);
  const combinations =
    sweep.strategy === "grid" ? grid(sweep, parameters) : drawn(sweep, parameters);
  const trials: Trial[] = [];
  for (const values of combinations) {
    trials.push({ number: trials.length + 1, values, config: configOf(values, layers) });
    // A configuration takes about a millisecond to check.
    if (trials.length % 20 === 0) await setImmediate();
  }
  return trials;
}

function checkParameter(path: string, parameter: SweepParameter): void {
  const wrong = (what: string): ConfigError => new ConfigError(`sweep.parameters.${path}: ${what}`);
  const kept = fixed.find((option) => path === option || path.startsWith(`${option}.`));
  if (kept !== undefined)
    throw wrong(`${kept} is the same for all trials, or they could not be compared`);
  if ("values" in parameter) {
    const { values } = parameter;
    const twice = values.find((value, i) => values.indexOf(value) !== i);
    if (twice !== undefined) throw wrong(`${JSON.stringify(twice)} is there twice`);
    return;
  }
  const { min, max, scale } = parameter;
  if (!(min < max)) throw wrong(`min must be below max, got ${min} and ${max}`);
  if (scale === "log" && min <= 0) throw wrong(`a log scale starts above 0, got min ${min}`);
  if (scale === "int" && !(Number.isSafeInteger(min) && Number.isSafeInteger(max)))
    throw wrong(`a scale of whole numbers has whole ends, got ${min} and ${max}`);
}

/** Every combination; the last option varies fastest. */
function grid({ trials }: SweepConfig, parameters: Parameters): TrialValues[] {
  if (trials !== undefined)
    throw new ConfigError("sweep.trials is of the strategy random; a grid has all combinations");
  const axes = parameters.map(([path, parameter]) => [path, gridValues(path, parameter)] as const);
  const size = axes.reduce((product, [, values]) => product * values.length, 1);
  if (size > mostTrials)
    throw new ConfigError(
      `sweep.parameters: a grid of ${axes.map(([, values]) => values.length).join(" x ")} is ${size} trials, more ` +
        `than ${mostTrials}; try fewer values, or the strategy random`,
    );
  return axes.reduce<TrialValues[]>(
    (combinations, [path, values]) =>
      combinations.flatMap((before) => values.map((value) => ({ ...before, [path]: value }))),
    [{}],
  );
}

function gridValues(path: string, parameter: SweepParameter): readonly OptionValue[] {
  if ("values" in parameter) return parameter.values;
  const { points, min, max } = parameter;
  if (points === undefined)
    throw new ConfigError(
      `sweep.parameters.${path}: in a grid, a range needs points, or give values`,
    );
  const all = Array.from({ length: points }, (_, i) =>
    i === 0 ? min : i === points - 1 ? max : between(parameter, i / (points - 1)),
  );
  return [...new Set(all)];
}

/** Combinations drawn by the seed, no two alike. */
function drawn({ trials, seed }: SweepConfig, parameters: Parameters): TrialValues[] {
  const possible = parameters.reduce((product, [, parameter]) => product * sizeOf(parameter), 1);
  const wanted = trials ?? Math.min(defaultTrials, possible);
  if (wanted > possible)
    throw new ConfigError(
      `sweep.trials: ${wanted} trials are more than the ${possible} combinations; the strategy grid takes them all`,
    );
  const combinations = new Map<string, TrialValues>();
  for (let draw = 0; combinations.size < wanted; draw++) {
    if (draw > mostDraws)
      throw new ConfigError("sweep.parameters: the ranges are too narrow for so many trials");
    const values = Object.fromEntries(
      parameters.map(([path, parameter]) => [
        path,
        drawValue(parameter, uniform(`${seed}/${draw}/${path}`)),
      ]),
    );
    combinations.set(JSON.stringify(values), values);
  }
  return [...combinations.values()];
}

function sizeOf(parameter: SweepParameter): number {
  if ("values" in parameter) return parameter.values.length;
  return parameter.scale === "int" ? parameter.max - parameter.min + 1 : Number.POSITIVE_INFINITY;
}

/** @param share of the way through the values, in [0, 1) */
function drawValue(parameter: SweepParameter, share: number): OptionValue {
  if ("values" in parameter) return parameter.values[Math.floor(share * parameter.values.length)]!;
  const { min, scale } = parameter;
  return scale === "int" ? min + Math.floor(share * sizeOf(parameter)) : between(parameter, share);
}

/** In four digits: as people write it, and the same wherever powers differ in the last bit. */
function between({ min, max, scale }: Range, share: number): number {
  const exact = scale === "log" ? min * (max / min) ** share : min + share * (max - min);
  const written = scale === "int" ? Math.round(exact) : Number(exact.toPrecision(4));
  return Math.min(max, Math.max(min, written));
}

/** A number in [0, 1) that depends on the text alone. */
function uniform(text: string): number {
  return createHash("sha256").update(text).digest().readUIntBE(0, 6) / 2 ** 48;
}

function configOf(values: TrialValues, layers: readonly Layer[]): Config {
  const whereGiven = (path: string): string | undefined =>
    layers
      .findLast(({ value }) => valueAt(value, ["sweep", "parameters", path]) !== undefined)
      ?.where(["sweep", "parameters", path]);
  const own = Object.entries(values).map(([path, value]): Layer => {
    const where = ["sweep.parameters", whereGiven(path)].filter((part) => part !== undefined);
    return { value: nest(path.split("."), value), where: () => where.reverse().join(": ") };
  });
  const given = layers.map((layer) => ({ ...layer, value: withoutSweep(layer.value) }));
  const { config, problems } = checkConfig(configSchema, [...given, ...own]);
  if (config) return config;
  throw new ConfigError(problems[0]!.message);
}

const withoutSweep = ({ sweep: _, ...rest }: ConfigObject): ConfigObject => rest;
