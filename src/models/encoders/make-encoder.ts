import { UsageError } from "../../errors.js";
import { Module } from "../../nn/index.js";
import type { Generator } from "../../ops/index.js";
import { AutoregressiveEncoder } from "./autoregressive.js";
import { Bert4RecEncoder } from "./bert4rec.js";
import type { EncoderOptions } from "./config.js";
import { DualEncoder } from "./dual.js";
import type { EncoderData, TrainingData, UserEncoder } from "./encoder.js";

/** What an encoder may be given when it is made, beside its options. */
export interface EncoderSurroundings {
  /** Absent when a saved encoder is made again. */
  readonly trainingData?: TrainingData | undefined;
  /** Of initial values, dropout and drawn items. Default: the one that `seed()` sets. */
  readonly generator?: Generator | undefined;
}

/** A kind of encoder from outside the package: what `kind: custom` with this name means. */
export interface EncoderFamily {
  readonly name: string;
  /**
   * Makes an encoder with initial values.
   *
   * @param options as the configuration has them; check them
   */
  create(
    data: EncoderData,
    options: Readonly<Record<string, unknown>>,
    surroundings: EncoderSurroundings,
  ): UserEncoder;
}

export interface MakeEncoderOptions extends EncoderSurroundings {
  /** Encoders of your own, for `kind: "custom"`. */
  readonly custom?: readonly EncoderFamily[] | undefined;
}

/**
 * The encoder that a configuration describes, with initial values.
 *
 *     makeEncoder({ kind: "autoregressive", layers: 2, width: 64 }, data)
 *
 * @param options its kind, with the options of the kind's class
 * @throws UsageError when the options do not go together, or no custom encoder has the name
 */
export function makeEncoder(
  options: EncoderOptions,
  data: EncoderData,
  { custom = [], generator, trainingData }: MakeEncoderOptions = {},
): UserEncoder {
  const init = generator && { generator };
  switch (options.kind) {
    case undefined:
    case "autoregressive":
      return new AutoregressiveEncoder(data, { ...options, ...init }, trainingData);
    case "sasrec": {
      const features = data.features.filter(({ name }) => name === "item");
      return new AutoregressiveEncoder(
        { ...data, features },
        { ...options, ...init },
        trainingData,
      );
    }
    case "dual":
      return new DualEncoder(data, { ...options, ...init }, trainingData);
    case "bert4rec":
      return new Bert4RecEncoder(data, { ...options, ...init });
    case "custom": {
      const family = familyOf(options.name, custom);
      const encoder = family.create(data, options.options ?? {}, { generator, trainingData });
      return checkedEncoder(options.name, encoder);
    }
  }
}

/**
 * Names of the features that an encoder reads, for `encoderDataOf`; undefined where it takes what there is.
 */
export function featureNamesOf(options: EncoderOptions): readonly string[] | undefined {
  return options.kind === "sasrec" ? [] : options.features;
}

function familyOf(name: string, families: readonly EncoderFamily[]): EncoderFamily {
  const found = families.find((family) => family.name === name);
  if (found) return found;
  const given = families.map((family) => family.name).join(", ") || "none";
  throw new UsageError(`no encoder "${name}" was given; there are ${given}`);
}

/** Whoever writes an encoder in JavaScript has no compiler to say what is missing. */
function checkedEncoder(name: string, encoder: UserEncoder): UserEncoder {
  if (!(encoder instanceof Module)) throw new UsageError(`encoder "${name}" is not a Module`);
  const methods = ["loss", "embed", "query", "itemTable"] as const;
  const missing = methods.find((method) => typeof encoder[method] !== "function");
  const { width } = encoder;
  if (!missing && Number.isInteger(width) && width > 0) return encoder;
  encoder.dispose();
  throw new UsageError(
    missing
      ? `encoder "${name}" has no method ${missing}`
      : `encoder "${name}": width must be a whole number above 0, got ${width}`,
  );
}
