import type { Differentiable, Gradients } from "../autograd/value-and-grad.js";
import { clipByNorm, globalNorm } from "../ops/index.js";
import { tidy } from "../tensor/memory.js";
import { tensor } from "../tensor/tensor.js";
import { requireNumber } from "./slots.js";

/**
 * Limits the norm of all gradients together, as `torch.nn.utils.clip_grad_norm_`. An optimizer's `clipNorm` does the
 * same on the way, without writing the gradients once more.
 *
 *     gradient · min(1, maxNorm / (norm + 1e-6))
 *
 * @param gradients the map gets the clipped gradients; the old ones are disposed
 * @returns the norm before, a scalar on the device
 */
export function clipGradNorm<P extends Differentiable>(
  gradients: Gradients<P>,
  maxNorm: number,
): ReturnType<typeof globalNorm> {
  requireNumber("clipGradNorm", "maxNorm", maxNorm, 0);
  const norm = globalNorm([...gradients.values()]);
  for (const [parameter, gradient] of gradients) {
    gradients.set(
      parameter,
      tidy(() => clipByNorm(gradient, norm, tensor(maxNorm, { dtype: "float64" }))),
    );
    gradient.dispose();
  }
  return norm;
}
