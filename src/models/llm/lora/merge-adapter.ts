import { LoraLinear } from "../../../nn/index.js";
import type { LongCall } from "../../../progress.js";
import { Pacer } from "../../../tensor/index.js";
import type { Decoder } from "../decoder.js";
import { linearsOf } from "./places.js";

/**
 * Adds the adapters to the weights that they lie beside, and puts plain layers back in their places. The decoder computes
 * what it did, but for the rounding of the weights to their dtype; it stays frozen.
 */
export async function mergeAdapter(
  decoder: Decoder,
  { signal, onProgress }: LongCall = {},
): Promise<void> {
  const places = linearsOf(decoder);
  const pacer = new Pacer();
  for (const [done, { linear, replace }] of places.entries()) {
    signal?.throwIfAborted();
    if (linear instanceof LoraLinear) {
      replace(linear.merge());
      linear.a.dispose();
      linear.b.dispose();
    }
    onProgress?.({ task: "merging", done: done + 1, total: places.length, unit: "steps" });
    await pacer.next();
  }
  await pacer.finish();
}

/** Takes the adapters away: the decoder is its base again, and stays frozen. */
export function removeAdapter(decoder: Decoder): void {
  for (const { linear, replace } of linearsOf(decoder))
    if (linear instanceof LoraLinear) {
      replace(linear.base);
      linear.a.dispose();
      linear.b.dispose();
    }
}
