import {
  arange,
  broadcastTo,
  cast,
  crossEntropy,
  divide,
  embedding,
  equal,
  greaterEqual,
  less,
  linearCrossEntropy,
  logicalAnd,
  logicalNot,
  logicalOr,
  matmul,
  max,
  maximum,
  type Precision,
  reshape,
  subtract,
  sum,
  where,
} from "../../ops/index.js";
import type { Tensor } from "../../tensor/tensor.js";

/** As a target: there is none. */
const none = -100;

export interface InBatchOptions {
  /** Of each label: the logarithm of its share of all labels, `[labels, 1]`. Default: no correction. */
  logShares?: Tensor | undefined;
  precision?: Precision | undefined;
}

/**
 * Scores of labels for queries: the highest of a query's `k` products. Only the product that is the highest gets the
 * gradient; equal ones share it.
 *
 * @param queries `[size, k, width]`
 * @param labels  `[labels, width]`
 * @returns       `[size, labels]`
 */
export function highestScores(queries: Tensor, labels: Tensor, precision?: Precision): Tensor {
  const [size, k, width] = queries.shape as [number, number, number];
  const scores = matmul(reshape(queries, [size * k, width]), labels, {
    transposeB: true,
    ...(precision && { precision }),
  });
  return k === 1 ? scores : max(reshape(scores, [size, k, labels.shape[0]!]), 1);
}

/**
 * The summed cross-entropy of each query with its label, over all labels.
 *
 * @param queries `[size, k, width]`
 * @param table   of all labels: `[labels, width]`
 * @param labels  `[size]`, or `[size, longest]` for several that share the target; -100 where there is none
 */
export function fullSoftmax(
  queries: Tensor,
  table: Tensor,
  labels: Tensor,
  precision?: Precision,
): Tensor {
  const [size, k, width] = queries.shape as [number, number, number];
  if (k === 1)
    return linearCrossEntropy(reshape(queries, [size, width]), table, labels, {
      reduction: "sum",
      ...(precision && { precision }),
    });
  const scores = highestScores(queries, table, precision);
  if (labels.rank === 1) return crossEntropy(scores, labels, { reduction: "sum" });
  const counts = cast(greaterEqual(labels, 0), scores.dtype);
  const shares = divide(counts, maximum(sum(counts, 1, { keepDims: true }), 1));
  const count = table.shape[0]!;
  const repeated = broadcastTo(reshape(scores, [size, 1, count]), [...labels.shape, count]);
  return crossEntropy(repeated, labels, { weights: shares, reduction: "sum" });
}

/**
 * The summed cross-entropy of each query with its label, over the labels of the batch. Where another query has the same
 * label, that one is no negative. The correction takes from each score how likely its label is in a batch, so that
 * popular labels are not pushed away for being drawn so often.
 *
 * @param queries  `[size, k, width]`
 * @param embedded the labels' embeddings: `[size, width]`
 * @param labels   `[size]`; -100 where there is none, which then is no negative either
 * @see Yi et al., "Sampling-bias-corrected neural modeling for large corpus item recommendations", RecSys 2019
 */
export function inBatchSoftmax(
  queries: Tensor,
  embedded: Tensor,
  labels: Tensor,
  { logShares, precision }: InBatchOptions = {},
): Tensor {
  const [size] = labels.shape as [number];
  const row = (x: Tensor) => reshape(x, [1, size]);
  const column = (x: Tensor) => reshape(x, [size, 1]);
  let scores = highestScores(queries, embedded, precision);
  if (logShares) scores = subtract(scores, row(embedding(logShares, known(labels))));
  const own = arange(size);
  const same = logicalAnd(
    equal(column(labels), row(labels)),
    logicalNot(equal(column(own), row(own))),
  );
  const absent = less(labels, 0);
  const hidden = logicalOr(same, row(absent));
  return crossEntropy(where(hidden, -Infinity, scores), where(absent, none, own), {
    reduction: "sum",
  });
}

/** Labels as ids that can be looked up: 0 where there is none. */
export const known = (labels: Tensor): Tensor => where(less(labels, 0), 0, labels);
