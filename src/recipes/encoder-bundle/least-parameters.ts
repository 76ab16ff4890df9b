import type { EncoderConfig } from "../../models/encoders/config.js";
import type { EncoderData } from "../../models/index.js";

/**
 * Numbers that an encoder with these options has at least: its table of items, and the matrices of its blocks. Of an
 * encoder of one's own nothing is known.
 */
export function leastParameters(options: EncoderConfig, { features }: EncoderData): number {
  if (options.kind === "custom") return 0;
  const { width, hiddenWidth = 4 * width, featureWidths = {}, layers } = options;
  const blocks = layers * (2 * width * width + width * hiddenWidth);
  const tables = features
    .filter(({ name }) => name === "item" || Object.hasOwn(featureWidths, name))
    .map(({ name, size }) => size * (featureWidths[name] ?? width))
    .reduce((sum, size) => sum + size, 0);
  return tables + blocks;
}
