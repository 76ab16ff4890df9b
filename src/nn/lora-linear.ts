import { Parameter } from "../autograd/parameter.js";
import { UsageError } from "../errors.js";
import {
  add,
  cast,
  type Generator,
  gelu,
  type LinearOptions,
  loraLinear,
  matmul,
  noGrad,
} from "../ops/index.js";
import { tidy } from "../tensor/memory.js";
import type { Tensor } from "../tensor/tensor.js";
import { Dropout } from "./dropout.js";
import { fanInUniform, zeros } from "./init.js";
import type { Linear } from "./linear.js";
import { Module } from "./module.js";

export interface LoraOptions {
  /** Rows of `a` and columns of `b`. Default: 8. */
  rank?: number;
  /** What the adapter adds is multiplied by `alpha / rank`. Default: 16. */
  alpha?: number;
  /** Whether it is `alpha / √rank` instead, which keeps large ranks from learning slowly. Default: false. */
  rankStabilized?: boolean;
  /** On what the adapter sees, not on what the base sees. Default: 0. */
  dropout?: number;
  /** Draws `a`, and dropout. Default: the one that `seed()` sets. */
  generator?: Generator;
}

/**
 * A linear layer that is frozen, and a low-rank adapter that is trained in its place.
 *
 *     base(x) + scale · (dropout(x) · aᵀ) · bᵀ        scale = alpha / rank
 *
 * `a` starts uniform in ±1/√inWidth and `b` at zero, as in PEFT: at first the layer is its base. PEFT's checkpoints
 * call `a` `lora_A.weight`, and `b` `lora_B.weight`.
 *
 * @see Hu et al., "LoRA: low-rank adaptation of large language models", arXiv:2106.09685
 * @see Kalajdzievski, "A rank stabilization scaling factor for fine-tuning with LoRA", arXiv:2312.03732
 */
export class LoraLinear extends Module {
  /** Frozen here; make it trainable again to train both. */
  readonly base: Linear;
  /** `[rank, inWidth]` */
  readonly a: Parameter;
  /** `[outWidth, rank]` */
  readonly b: Parameter;
  readonly dropout: Dropout;
  readonly alpha: number;
  readonly rankStabilized: boolean;
  /** `alpha / rank`, or `alpha / √rank` */
  readonly scale: number;

  /** @param base belongs to this module from now on */
  constructor(base: Linear, options: LoraOptions = {}) {
    super();
    const { rank = 8, alpha = 16, rankStabilized = false, dropout = 0, generator } = options;
    if (!(Number.isInteger(rank) && rank > 0))
      throw new UsageError(`LoraLinear: rank must be a positive whole number, got ${rank}`);
    if (!Number.isFinite(alpha))
      throw new UsageError(`LoraLinear: alpha must be a number, got ${alpha}`);
    const { inWidth, outWidth } = base;
    const init = {
      dtype: base.weight.value.dtype === "float64" ? "float64" : "float32",
      ...(generator && { generator }),
    } as const;
    this.base = base.setTrainable(false);
    this.a = new Parameter(fanInUniform([rank, inWidth], inWidth, init));
    this.b = new Parameter(zeros([outWidth, rank], init));
    this.dropout = new Dropout(dropout, generator);
    this.alpha = alpha;
    this.rankStabilized = rankStabilized;
    this.scale = alpha / (rankStabilized ? Math.sqrt(rank) : rank);
  }

  get rank(): number {
    return this.a.shape[0]!;
  }

  /**
   * `x [..., inWidth]` → `[..., outWidth]`.
   *
   * @param options a GELU, or a residual added in the same pass
   */
  forward(
    x: Tensor,
    { activation = "none", residual }: Pick<LinearOptions, "activation" | "residual"> = {},
  ): Tensor {
    if (activation !== "none") {
      const activated = gelu(this.forward(x));
      return residual ? add(activated, residual) : activated;
    }
    const { base, a, b, scale } = this;
    return loraLinear(x, base.weight.value, base.bias?.value, [{ a: a.value, b: b.value, scale }], {
      residual,
      adapterInput: this.dropout.forward(x),
      ...base.product,
    });
  }

  /**
   * `weight + scale · b · a`, a new tensor of the weight's dtype: the weight of a linear layer that does what
   * this one does.
   */
  mergedWeight(): Tensor {
    const { base, a, b, scale } = this;
    const weight = base.weight.value;
    return tidy(() =>
      noGrad(() => {
        const added = matmul(b.value, a.value, { scale });
        return cast(add(cast(weight, added.dtype), added), weight.dtype);
      }),
    );
  }

  /**
   * Adds the adapter to the base's weight, in place, and starts it anew: `b` is zero. The layer computes what it did
   * before, and so does its base alone.
   *
   * @returns the base
   */
  merge(): Linear {
    this.base.weight.assign(this.mergedWeight());
    this.b.assign(zeros(this.b.shape, { dtype: this.b.value.dtype as "float32" | "float64" }));
    return this.base;
  }
}

/** A linear layer, or one with an adapter in its place. */
export type AdaptableLinear = Linear | LoraLinear;
