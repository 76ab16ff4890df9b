import { UsageError } from "../errors.js";
import { add, dropout, type Generator } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import type { AdaptableLinear } from "./lora-linear.js";
import { Module } from "./module.js";

/** While training, zeroes elements with probability `p` and scales the others by 1/(1-p). */
export class Dropout extends Module {
  /** @param generator default: the one that `seed()` sets */
  constructor(
    readonly p: number,
    readonly generator?: Generator,
  ) {
    super();
    if (!(p >= 0 && p < 1))
      throw new UsageError(`Dropout: p must be at least 0 and below 1, got ${p}`);
  }

  /** Whether it changes anything now. */
  get active(): boolean {
    return this.training && this.p > 0;
  }

  forward(x: Tensor): Tensor {
    if (!this.active) return x;
    return dropout(x, this.p, this.generator ? { generator: this.generator } : {});
  }

  /** The end of a branch: `dropout(linear(x)) + residual`, in one pass where nothing is dropped. */
  after(linear: AdaptableLinear, x: Tensor, residual?: Tensor): Tensor {
    if (!this.active) return linear.forward(x, { residual });
    const dropped = this.forward(linear.forward(x));
    return residual ? add(residual, dropped) : dropped;
  }
}
