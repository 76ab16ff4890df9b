import { featureNameFault } from "../../data/feature.js";
import { Place } from "../../data/files/json-place.js";
import type { Feature } from "../../data/index.js";
import type { PreparedFile } from "../../data/manifest.js";
import { DataError } from "../../errors.js";
import { type EncoderConfig, encoderConfig } from "../../models/encoders/config.js";
import type { EncoderData } from "../../models/index.js";
import { encoderFeature } from "../encoder-data.js";

/** Raised when the layout of encoder folders changes. */
export const encoderFormatVersion = 1;

export const cardFile = "encoder.json";
export const weightsFile = "model.safetensors";

/** Larger is no card: it holds some lines for each feature. */
export const largestCard = 16 * 2 ** 20; // bytes

/** A feature that an encoder reads, as its data declared it. */
export type CardFeature = Omit<Feature, "missing">;

/** `encoder.json`: all that is needed to make the encoder again, and where it comes from. */
export interface EncoderCard {
  readonly format: "user-llm-encoder";
  readonly version: number;
  /** Version of the package that wrote it. */
  readonly package: string;
  /** Its kind, with every option. */
  readonly encoder: EncoderConfig;
  /** Most inputs of a window. */
  readonly length: number;
  /** What it is made for; the item first. */
  readonly features: readonly CardFeature[];
  /** Numbers in its weights. */
  readonly parameters: number;
  readonly provenance: EncoderProvenance;
  /** Weights, then the catalogue. */
  readonly files: readonly StoredFile[];
}

export interface EncoderProvenance {
  /** What it was trained on. */
  readonly data: { readonly title: string; readonly fingerprint: string };
  /** Fingerprint of the split; null where there was none. */
  readonly split: string | null;
  /** Optimizer steps so far; null where nobody counted. */
  readonly step: number | null;
}

export type StoredFile = Omit<PreparedFile, "rows"> & {
  /** Of an Arrow file. */
  readonly rows?: number;
};

/** What an encoder of this card is made for. */
export const dataOfCard = ({ features, length }: EncoderCard): EncoderData => ({
  features: features.map(encoderFeature),
  length,
});

/**
 * The card that a text is. Nothing in it is trusted.
 *
 * @param path for messages
 * @throws DataError naming the key
 */
export function parseCard(path: string, text: string): EncoderCard {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new DataError(`${path}: not JSON (${(error as Error).message})`, { cause: error });
  }
  const top = new Place(path, "", json);
  const format = top.get("format").oneOf(["user-llm-encoder"]);
  const version = top.get("version").count();
  if (version !== encoderFormatVersion) {
    const advice = version > encoderFormatVersion ? "update user-llm" : "save the encoder again";
    throw new DataError(
      `${path}: format ${version}, this version of user-llm reads ${encoderFormatVersion}; ${advice}`,
    );
  }
  const provenance = top.get("provenance");
  const trainedOn = provenance.get("data");
  const card: EncoderCard = {
    format,
    version,
    package: top.get("package").text(),
    encoder: optionsOf(path, top.get("encoder").value),
    length: top.get("length").count(),
    features: top.get("features").list().map(featureOf),
    parameters: top.get("parameters").count(),
    provenance: {
      data: {
        title: trainedOn.get("title").text(),
        fingerprint: trainedOn.get("fingerprint").hash(),
      },
      split: provenance.get("split").orNull((place) => place.hash()),
      step: provenance.get("step").orNull((place) => place.count()),
    },
    files: top.get("files").list().map(fileOf),
  };
  checkTogether(path, card);
  return card;
}

function optionsOf(path: string, value: unknown): EncoderConfig {
  const { success, data, error } = encoderConfig.safeParse(value);
  if (success) return data;
  const { path: inner, message } = error.issues[0]!;
  throw new DataError(`${path}: "${["encoder", ...inner].join(".")}": ${message}`);
}

function featureOf(place: Place): CardFeature {
  const name = place.get("name").text();
  if (name !== "item" && featureNameFault(name) !== undefined)
    place.get("name").fail("the name of a feature");
  return {
    name,
    kind: place.get("kind").oneOf(["id", "categorical", "ordinal", "bag"]),
    of: place.get("of").oneOf(["event", "item"]),
    size: place.get("size").count(),
    longest: place.get("longest").count(),
  };
}

function fileOf(place: Place): StoredFile {
  const name = place.get("name").text();
  const stored = { name, bytes: place.get("bytes").count(), sha256: place.get("sha256").hash() };
  return name === weightsFile ? stored : { ...stored, rows: place.get("rows").count() };
}

/** What one part of a card says about another. */
function checkTogether(path: string, { features, files, length }: EncoderCard): void {
  const fail = (rule: string): never => {
    throw new DataError(`${path}: ${rule}`);
  };
  const names = features.map(({ name }) => name);
  if (names[0] !== "item") fail('the first of "features" must be the item');
  if (length < 1) fail('"length" must be at least 1');
  const wanted = features.map(({ name, size }) =>
    name === "item" ? `items.arrow (${size} rows)` : `vocab-${name}.arrow (${size} rows)`,
  );
  const found = files.map(({ name, rows }) =>
    rows === undefined ? name : `${name} (${rows} rows)`,
  );
  if (new Set(names).size < names.length) fail('a name is twice in "features"');
  const expected = [weightsFile, ...wanted].join(", ");
  if (found.join(", ") !== expected)
    fail(`"files" must be ${expected}; it has ${found.join(", ")}`);
}
