/** Sweeps as files give them. */
import { type Layer, parseConfig, resolveConfig } from "../../src/config/index.js";
import { type Config, configSchema } from "../../src/recipes/config.js";

export const random = `
strategy: random
trials: 12
seed: 5
parameters:
  pretrain.learningRate: { min: 1e-4, max: 1e-2, scale: log }
  encoder.dropout: { min: 0, max: 0.5 }
  encoder.layers: { min: 1, max: 3, scale: int }
  encoder.positions: { values: [learned, rotary] }`;

export const grid = `
strategy: grid
parameters:
  encoder.layers: { values: [1, 2] }
  encoder.dropout: { values: [0, 0.1, 0.3] }`;

/** A configuration with the section `sweep`, as a file. */
export const sweepFile = (section: string): string =>
  `encoder: { kind: autoregressive }\nsweep:\n${section.trim().replace(/^/gm, "  ")}`;

export function given(section: string): { config: Config; layers: readonly Layer[] } {
  const layers = [parseConfig(sweepFile(section), "cfg.yaml")];
  return { config: resolveConfig(configSchema, layers), layers };
}
