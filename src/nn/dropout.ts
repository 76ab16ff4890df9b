import { UsageError } from "../errors.js";
import { dropout, type Generator } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
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

  forward(x: Tensor): Tensor {
    if (!this.training || this.p === 0) return x;
    return dropout(x, this.p, this.generator ? { generator: this.generator } : {});
  }
}
