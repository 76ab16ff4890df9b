import type { MLPOptions, RotaryEmbeddingOptions } from "../../nn/index.js";
import type { GateActivation, Generator } from "../../ops/index.js";

/** What a decoder is: every difference between the families that are supported. Widths are numbers of elements. */
export interface DecoderOptions {
  /** Tokens that it knows. */
  readonly vocabulary: number;
  /** Of a token's vector between the layers. */
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  /** Heads of keys and values, each shared by `heads / kvHeads` query heads. Default: `heads`. */
  readonly kvHeads?: number | undefined;
  /** Default: `width / heads`. */
  readonly headWidth?: number | undefined;
  /** Inside the MLP. */
  readonly hiddenWidth: number;
  /** Tokens of a sequence that it was made for; with learned positions there are no more. */
  readonly maxPositions: number;
  readonly norm: DecoderNorm;
  /** How it knows where a token stands: a learned vector for each position, or turned queries and keys. */
  readonly positions: "learned" | DecoderRotary;
  /** Of layers with a window, where it differs. Default: as `positions`. */
  readonly windowPositions?: DecoderRotary | undefined;
  /** Tokens that each layer sees looking back, the token itself included. Default: all, in all layers. */
  readonly windows?: readonly (number | undefined)[] | undefined;
  readonly attention?: DecoderAttentionOptions | undefined;
  readonly mlp: DecoderMlp;
  /** Whether attention and MLP of a layer read the same input, and both are added to it. Default: one after the other. */
  readonly parallel?: boolean | undefined;
  /** Whether what attention and MLP give is normalised before it is added. Default: false. */
  readonly normAfter?: boolean | undefined;
  /** Whether the logits are products with the token embeddings. Default: a matrix of their own. */
  readonly tied?: boolean | undefined;
  /** Whether the logits of an untied head have a bias. Default: false. */
  readonly headBias?: boolean | undefined;
  /** Multiplies the token embeddings. Default: 1. */
  readonly embeddingScale?: number | undefined;
  /** Limits the logits: `softCap · tanh(logit / softCap)`. Default: no limit. */
  readonly softCap?: number | undefined;
  /** While training. Default: none. */
  readonly dropout?: DecoderDropout | undefined;
}

export interface DecoderNorm {
  readonly kind: "layer" | "rms";
  readonly eps: number;
  /** Of `rms`: whether the weight is what the scale differs from 1 by. Default: false. */
  readonly unitOffset?: boolean | undefined;
}

export interface DecoderRotary extends Pick<RotaryEmbeddingOptions, "base" | "style"> {
  /** Elements of a head that are turned, the first ones. Default: all. */
  readonly width?: number | undefined;
  /** Radians per position of each pair, for scaled variants. Default: by `base`. */
  readonly inverseFrequencies?: readonly number[] | undefined;
}

export interface DecoderAttentionOptions {
  /** Whether queries, keys and values come from one matrix, as the checkpoint has them. Default: from three. */
  readonly packed?: boolean | undefined;
  /** Whether the projections to queries, keys and values have biases. Default: false. */
  readonly inputBias?: boolean | undefined;
  /** Whether the projection back has a bias. Default: false. */
  readonly outputBias?: boolean | undefined;
  /** Multiplies the scores. Default: 1/√headWidth. */
  readonly scale?: number | undefined;
  /** Limits the scores. Default: no limit. */
  readonly softCap?: number | undefined;
  /** Whether each head's queries and keys are normalised, by a norm of the decoder's kind. Default: false. */
  readonly queryKeyNorm?: boolean | undefined;
}

export type DecoderMlp =
  | {
      readonly kind: "gated";
      readonly activation: GateActivation;
      readonly bias?: boolean | undefined;
    }
  | {
      readonly kind: "plain";
      readonly activation: NonNullable<MLPOptions["activation"]>;
      readonly bias?: boolean | undefined;
    };

/** Probabilities. */
export interface DecoderDropout {
  /** Of the attention probabilities. Default: 0. */
  readonly attention?: number | undefined;
  /** Of what attention and MLP give. Default: 0. */
  readonly residual?: number | undefined;
  /** Of the embeddings. Default: 0. */
  readonly embedding?: number | undefined;
}

/** How the weights of a decoder are made. */
export interface DecoderInit {
  /** Standard deviation of matrices and embeddings; 0 for weights that a checkpoint replaces. Default: 0.02. */
  readonly std?: number | undefined;
  /** Of matrices, their biases, and embeddings; norms are float32. Default: `float32`. */
  readonly dtype?: "float32" | "bfloat16" | "float64" | undefined;
  /**
   * Of products with float32 matrices: `bfloat16` reads a copy that is kept beside them, for training. Bfloat16 matrices
   * have bfloat16 products. Default: `float32`.
   */
  readonly precision?: "float32" | "bfloat16" | undefined;
  /** Draws weights and dropout. Default: the one that `seed()` sets. */
  readonly generator?: Generator | undefined;
}
