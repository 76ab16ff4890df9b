import { Parameter } from "../autograd/parameter.js";
import { embedding } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { type InitOptions, normal } from "./init.js";
import { Module } from "./module.js";

export interface EmbeddingOptions extends InitOptions {
  /** Standard deviation of the initial values. Default: 0.02. */
  std?: number;
}

/** A vector for each of `count` ids. */
export class Embedding extends Module {
  /** `[count, width]` */
  readonly weight: Parameter;

  constructor(
    readonly count: number,
    readonly width: number,
    { std = 0.02, ...init }: EmbeddingOptions = {},
  ) {
    super();
    this.weight = new Parameter(normal([count, width], std, init));
  }

  /** `ids [...]` (int32) → `[..., width]`; an id outside `[0, count)` is an error at the read. */
  forward(ids: Tensor): Tensor {
    return embedding(this.weight.value, ids);
  }
}
