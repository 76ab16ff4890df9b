import type { Decoder, EncoderLoss, TokenBatch } from "../../models/index.js";
import { Module } from "../../nn/index.js";

/** A decoder as it is trained: with or without its activations kept. */
export class TunedDecoder extends Module {
  readonly #checkpoint: boolean;

  constructor(
    readonly decoder: Decoder,
    { activationCheckpointing }: { activationCheckpointing: boolean },
  ) {
    super();
    this.#checkpoint = activationCheckpointing;
  }

  loss(batch: TokenBatch): EncoderLoss {
    return this.decoder.loss(batch, { checkpoint: this.#checkpoint && this.training });
  }
}
