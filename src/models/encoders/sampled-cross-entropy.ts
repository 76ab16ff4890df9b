import {
  add,
  cast,
  concat,
  crossEntropy,
  embedding,
  equal,
  linear,
  maximum,
  minimum,
  multiply,
  negate,
  type Precision,
  reshape,
  split,
  sum,
  where,
} from "../../ops/index.js";
import { sizeOf, type Tensor } from "../../tensor/tensor.js";
import type { DrawnItems } from "./negative-sampler.js";

/** What stands in for -∞ as a logit: the exponential of it is 0. */
const impossible = -1e30;

/**
 * Estimates the cross-entropies of a softmax over all items from some that were drawn, added up:
 *
 *     log(exp s_target + Σ exp(s_j - log(n · q_j))) - s_target        over the n drawn items j but the target
 *
 * where q_j is the probability with which item j was drawn. The sum has the expectation of that over all other items, so
 * that with growing n loss and gradients become those of the full softmax. (The target is not drawn but always there,
 * so its score is not corrected.)
 *
 * @param x       `[..., width]`
 * @param table   `[items, width]`
 * @param targets `[...]`, int32; -100 does not count
 * @param drawn   shared by all positions
 * @returns       a scalar
 * @see Bengio and Senécal, "Adaptive importance sampling", 2008; Yi et al., "Sampling-bias-corrected neural modeling",
 * RecSys 2019; Khrylchenko et al., "Correcting the LogQ Correction", arXiv:2507.09331
 */
export function sampledCrossEntropy(
  x: Tensor,
  table: Tensor,
  targets: Tensor,
  { ids, logProbabilities }: DrawnItems,
  { precision = "float32" }: { precision?: Precision | undefined } = {},
): Tensor {
  const positions = sizeOf(targets.shape);
  const rows = reshape(x, [positions, x.shape.at(-1)!]);
  const wanted = reshape(targets, [positions]);
  const looked = concat([maximum(wanted, 0), ids]);
  const [own, others] = split(embedding(table, looked), [positions, ids.size]) as [Tensor, Tensor];
  const correction = negate(add(logProbabilities, Math.log(ids.size)));
  const scores = linear(rows, others, cast(correction, table.dtype), { precision });
  const drawnTargets = equal(reshape(wanted, [positions, 1]), ids);
  const logits = concat(
    [sum(multiply(rows, own), -1, { keepDims: true }), where(drawnTargets, impossible, scores)],
    1,
  );
  // The target is class 0; -100 stays.
  return crossEntropy(logits, minimum(wanted, 0), { reduction: "sum" });
}
