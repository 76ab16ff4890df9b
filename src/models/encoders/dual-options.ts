import { UsageError } from "../../errors.js";
import type { InitOptions } from "../../nn/index.js";
import type { Precision } from "../../ops/index.js";
import { requireFeatures } from "./checks.js";
import type { EncoderData, EncoderFeature } from "./encoder.js";

export interface DualOptions extends Pick<InitOptions, "generator"> {
  /** Transformer blocks of each feature. Default: 2. */
  layers?: number | undefined;
  /** MLPs after the features have come together. Default: 1. */
  fusionLayers?: number | undefined;
  /** Embeddings of a user. Default: 1. */
  outputs?: number | undefined;
  /** Of a user embedding. Default: 128. */
  width?: number | undefined;
  /** Of a transformer as wide as the embedding; narrower ones have as many as fit. Default: 8. */
  heads?: number | undefined;
  /** Width inside the MLPs of what is as wide as the embedding. Default: four times the width. */
  hiddenWidth?: number | undefined;
  /** Of the user tower, while training. Default: 0.1. */
  dropout?: number | undefined;
  /**
   * Widths of the features, by name, as multiples of a head's width. Default: `width` for the item and the label, about a
   * quarter for the others.
   */
  featureWidths?: Readonly<Record<string, number>> | undefined;
  /** What the user tower reads, by name. Default: all features. */
  userFeatures?: readonly string[] | undefined;
  /** What labels are: `item`, or the values of another feature. Default: `item`. */
  label?: string | undefined;
  /** What the label tower reads, by name. Default: the label and, where that is the item, all features of items. */
  labelFeatures?: readonly string[] | undefined;
  /** Whether both towers share the item's table. Default: where both read the item. */
  tieItems?: boolean | undefined;
  /**
   * Over what a label is predicted: all labels, or those of the batch. `auto`: all where there are at most 5,000.
   * Default: `auto`.
   */
  softmax?: "auto" | "full" | "in-batch" | undefined;
  /** Whether training corrects the softmax in the batch for how often labels are in batches. Default: true. */
  logQ?: boolean | undefined;
  /** Whether scores are cosines, in place of products. Default: false. */
  normalize?: boolean | undefined;
  /** Divides the scores. Default: 0.1 for cosines, else 1. */
  temperature?: number | undefined;
  /** Of the products. Default: `float32`. */
  precision?: Precision | undefined;
}

/** Largest number of labels that `auto` takes the full softmax for. */
const fullSoftmaxLimit = 5000;

/** Options with all defaults filled in, and features in place of their names. */
export interface DualSettings extends Pick<InitOptions, "generator"> {
  readonly layers: number;
  readonly fusionLayers: number;
  readonly outputs: number;
  readonly width: number;
  readonly heads: number;
  readonly hiddenWidth: number;
  readonly dropout: number;
  readonly widthOf: (feature: EncoderFeature) => number;
  /** What batches must have. */
  readonly features: readonly EncoderFeature[];
  readonly userFeatures: readonly EncoderFeature[];
  readonly label: EncoderFeature;
  readonly labelFeatures: readonly EncoderFeature[];
  readonly tieItems: boolean;
  readonly softmax: "full" | "in-batch";
  readonly logQ: boolean;
  readonly normalize: boolean;
  readonly temperature: number;
  readonly precision: Precision;
}

/** @throws UsageError when options do not fit each other or the data */
export function resolveDualOptions(data: EncoderData, options: DualOptions): DualSettings {
  const { layers = 2, fusionLayers = 1, outputs = 1, width = 128, heads = 8 } = options;
  const { normalize = false, temperature = normalize ? 0.1 : 1, generator } = options;
  checkCount("layers", layers, 0);
  checkCount("fusionLayers", fusionLayers, 0);
  checkCount("outputs", outputs, 1);
  checkCount("width", width, 1);
  checkCount("heads", heads, 1);
  if (width % heads !== 0)
    throw new UsageError(`DualEncoder: heads ${heads} must divide width ${width}`);
  if (!(temperature > 0 && Number.isFinite(temperature)))
    throw new UsageError(`DualEncoder: temperature must be above 0, got ${temperature}`);
  requireFeatures("DualEncoder", data.features);
  const towers = featuresOf(data, options);
  const { label, userFeatures, labelFeatures } = towers;
  return {
    ...towers,
    layers,
    fusionLayers,
    outputs,
    width,
    heads,
    hiddenWidth: options.hiddenWidth ?? 4 * width,
    dropout: options.dropout ?? 0.1,
    widthOf: widthsOf(data, label, width, heads, options.featureWidths ?? {}),
    features: data.features.filter((feature) =>
      [data.features[0], label, ...userFeatures, ...labelFeatures].includes(feature),
    ),
    tieItems: tiesItems(options.tieItems, towers),
    softmax: softmaxOf(options.softmax, label),
    logQ: options.logQ ?? true,
    normalize,
    temperature,
    precision: options.precision ?? "float32",
    ...(generator && { generator }),
  };
}

type Towers = Pick<DualSettings, "label" | "userFeatures" | "labelFeatures">;

function featuresOf({ features }: EncoderData, options: DualOptions): Towers {
  const find = (option: string) => (name: string) => {
    const found = features.find((feature) => feature.name === name);
    if (found) return found;
    const names = features.map((feature) => feature.name).join(", ");
    throw new UsageError(
      `DualEncoder: ${option}: there is no feature "${name}"; there are ${names}`,
    );
  };
  const list = (option: "userFeatures" | "labelFeatures", otherwise: readonly EncoderFeature[]) => {
    const names = options[option];
    if (!names) return otherwise;
    if (names.length === 0) throw new UsageError(`DualEncoder: ${option} must not be empty`);
    return [...new Set(names)].map(find(option));
  };
  const label = find("label")(options.label ?? "item");
  const describing = label.name === "item" ? features.filter(({ of }) => of === "item") : [];
  const known = [label, ...describing.filter((feature) => feature !== label)];
  const labelFeatures = list("labelFeatures", known);
  const wrong = labelFeatures.find((feature) => !known.includes(feature));
  if (wrong)
    throw new UsageError(
      `DualEncoder: labelFeatures: ${wrong.name} is not known of ${label.name === "item" ? "an item" : label.name} before the event`,
    );
  return { label, userFeatures: list("userFeatures", features), labelFeatures };
}

function widthsOf(
  { features }: EncoderData,
  label: EncoderFeature,
  width: number,
  heads: number,
  given: Readonly<Record<string, number>>,
): DualSettings["widthOf"] {
  const head = width / heads;
  for (const [name, own] of Object.entries(given)) {
    if (!features.some((feature) => feature.name === name))
      throw new UsageError(`DualEncoder: featureWidths: ${name} is not a feature of this encoder`);
    if (!(Number.isInteger(own / head) && own > 0))
      throw new UsageError(
        `DualEncoder: featureWidths: ${name} must be a multiple of a head's width, ${head}, got ${own}`,
      );
  }
  const narrow = head * Math.max(1, Math.floor(heads / 4));
  return (feature) =>
    given[feature.name] ?? (feature.name === "item" || feature === label ? width : narrow);
}

function tiesItems(
  wanted: boolean | undefined,
  { label, userFeatures, labelFeatures }: Towers,
): boolean {
  const canTie =
    label.name === "item" && userFeatures.includes(label) && labelFeatures.includes(label);
  if (wanted && !canTie)
    throw new UsageError("DualEncoder: tieItems needs both towers to read the item");
  return wanted ?? canTie;
}

function softmaxOf(
  wanted: DualOptions["softmax"] = "auto",
  { size }: EncoderFeature,
): DualSettings["softmax"] {
  if (wanted === "full" || wanted === "in-batch") return wanted;
  if (wanted === "auto") return size <= fullSoftmaxLimit ? "full" : "in-batch";
  throw new UsageError(
    `DualEncoder: softmax must be "auto", "full" or "in-batch", got "${wanted as string}"`,
  );
}

function checkCount(option: string, value: number, least: number): void {
  if (!(Number.isInteger(value) && value >= least))
    throw new UsageError(
      `DualEncoder: ${option} must be a whole number from ${least} on, got ${value}`,
    );
}
