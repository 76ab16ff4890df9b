import type { DecoderOptions } from "./decoder-options.js";

export interface DecoderMemoryOptions {
  /** Of all but norms, which are float32. Default: `float32`. */
  readonly dtype?: "float32" | "bfloat16" | undefined;
  /** Sequences in the cache. Default: 1. */
  readonly batch?: number | undefined;
  /** Tokens that the cache has room for, of each sequence. Default: `maxPositions`. */
  readonly tokens?: number | undefined;
}

/** What a decoder takes to answer. */
export interface DecoderMemory {
  readonly parameters: number;
  /** Bytes of all parameters. */
  readonly weights: number;
  /** Bytes of the keys and values of one token, in all layers. */
  readonly cachePerToken: number;
  /** Bytes of the cache, when it is made with this capacity; one that grows may be twice as large. */
  readonly cache: number;
}

/**
 * What a decoder takes in memory, by its options alone: nothing is made.
 *
 *     cachePerToken = 2 · layers · kvHeads · headWidth · 4
 */
export function decoderMemory(
  options: DecoderOptions,
  { dtype = "float32", batch = 1, tokens = options.maxPositions }: DecoderMemoryOptions = {},
): DecoderMemory {
  const { layers, heads, width, kvHeads = heads, headWidth = width / heads } = options;
  const norms = normElements(options);
  const others = tableElements(options) + layers * layerElements(options);
  const cachePerToken = 2 * layers * kvHeads * headWidth * 4;
  return {
    parameters: others + norms,
    weights: others * (dtype === "bfloat16" ? 2 : 4) + norms * 4,
    cachePerToken,
    cache: cachePerToken * batch * tokens,
  };
}

/** Of embeddings and head. */
function tableElements(options: DecoderOptions): number {
  const { vocabulary, width, positions, maxPositions, tied, headBias } = options;
  const head = tied ? 0 : vocabulary * (width + (headBias ? 1 : 0));
  return width * (vocabulary + (positions === "learned" ? maxPositions : 0)) + head;
}

/** Of the linear layers of one layer. */
function layerElements(options: DecoderOptions): number {
  const { width, heads, hiddenWidth, mlp, attention } = options;
  const { kvHeads = heads, headWidth = width / heads } = options;
  const rows = headWidth * (heads + 2 * kvHeads);
  const inputs = rows * (width + (attention?.inputBias ? 1 : 0));
  const output = width * (headWidth * heads + (attention?.outputBias ? 1 : 0));
  const up = hiddenWidth * (width + (mlp.bias ? 1 : 0)) * (mlp.kind === "gated" ? 2 : 1);
  const down = width * (hiddenWidth + (mlp.bias ? 1 : 0));
  return inputs + output + up + down;
}

function normElements(options: DecoderOptions): number {
  const { layers, heads, width, headWidth = width / heads, normAfter, attention, norm } = options;
  const oneLayer = width * (normAfter ? 4 : 2) + (attention?.queryKeyNorm ? 2 * headWidth : 0);
  return (layers * oneLayer + width) * (norm.kind === "layer" ? 2 : 1);
}
