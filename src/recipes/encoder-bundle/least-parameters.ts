import type { EncoderConfig } from "../../models/encoders/config.js";
import type { EncoderData, EncoderFeature } from "../../models/index.js";

type DualConfig = Extract<EncoderConfig, { kind: "dual" }>;
type OtherConfig = Exclude<EncoderConfig, { kind: "dual" | "custom" }>;

/**
 * Numbers that an encoder with these options has at least: its tables, and the matrices of its blocks. All that it has
 * is not much more, so that what a file claims cannot take more memory than it has bytes, by far. Of an encoder of
 * one's own nothing is known.
 */
export function leastParameters(options: EncoderConfig, data: EncoderData): number {
  switch (options.kind) {
    case "custom":
      return 0;
    case "dual":
      return leastOfDual(options, data.features);
    default:
      return leastOfTransformer(options, data.features);
  }
}

function leastOfTransformer(options: OtherConfig, features: readonly EncoderFeature[]): number {
  const { width, hiddenWidth = 4 * width, featureWidths = {}, layers } = options;
  const read = options.kind === "sasrec" ? features.slice(0, 1) : features;
  const tables = read.map(({ name, size }) => {
    const own = widthIn(featureWidths, name) ?? (name === "item" ? width : 1);
    return size * own;
  });
  return sum(tables) + layers * block(width, hiddenWidth);
}

function leastOfDual(options: DualConfig, features: readonly EncoderFeature[]): number {
  const { width, heads, hiddenWidth = 4 * width, featureWidths = {}, label } = options;
  const { layers, fusionLayers, outputs, userFeatures, labelFeatures } = options;
  const towers = features
    .filter(({ name }) => userFeatures?.includes(name) ?? true)
    .map(({ name, size }) => {
      const usual = name === "item" || name === label ? width : width / heads;
      const own = widthIn(featureWidths, name) ?? usual;
      const inside = Math.ceil((hiddenWidth * own) / width);
      return (size + outputs) * own + layers * block(own, inside);
    });
  const [item] = features;
  const ofLabels = features
    .filter(({ name, of }) => label === "item" && of === "item" && name !== "item")
    .filter(({ name }) => labelFeatures?.includes(name) ?? true)
    .map(({ longest = 1 }) => item!.size * Math.max(1, longest));
  return sum(towers) + sum(ofLabels) + (fusionLayers + 1) * 2 * width * hiddenWidth;
}

/** Of a transformer's block: less than half of its matrices. */
const block = (width: number, hiddenWidth: number): number =>
  2 * width * width + width * hiddenWidth;

const widthIn = (widths: Readonly<Record<string, number>>, name: string): number | undefined =>
  Object.hasOwn(widths, name) ? widths[name] : undefined;

const sum = (values: readonly number[]): number =>
  values.reduce((total, value) => total + value, 0);
