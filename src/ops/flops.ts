import { UsageError } from "../errors.js";
import { profile } from "../tensor/profile.js";

/** Floating-point operations of a piece of work. */
export interface FlopCount {
  readonly total: number;
  /** Of {@link total} those in matrix products and attention: what other programs count, and the paper. */
  readonly products: number;
  /** By op, forward and backward ops apart. 0 for those that only move data, look up, compare or draw. */
  readonly byOp: Readonly<Record<string, number>>;
}

/** The ops whose work is products of matrices. */
const productOps: ReadonlySet<string> = new Set([
  "attention",
  "attention_backward",
  "linear",
  "linear_cross_entropy",
  "linear_input_grad",
  "lora_linear",
  "lora_linear_backward",
  "matmul",
  "matmul_rank",
  "matmul_top_k",
]);

/**
 * Runs `body` and counts the floating-point operations of its ops, the backward pass's and the optimizer's included.
 *
 * A multiply-add is two operations, whatever the precision. What is counted is what the definition of an op needs for
 * the tensors it is given, not what its kernel happens to do:
 *
 * - a product `[m, k] · [k, n]`: `2 · m · k · n`
 * - attention: two products of each query with each key that it sees, and five in the backward pass. A key that causality,
 *   a window or a length hides costs nothing, nor does a padding query; ragged sequences count by their own lengths
 * - `linearCrossEntropy`: one product for the rows whose target counts, and one more for each gradient
 * - other arithmetic: an estimate of each element's operations, in {@link FlopCount.total} only
 *
 * Counts depend on shapes, lengths and targets alone, so they are the same in every run. Not counting costs nothing.
 * Counts may nest; what else runs while `body` awaits something is counted with it.
 *
 * @returns what `body` returned, and the count
 */
export async function countFlops<T>(
  body: () => T | Promise<T>,
): Promise<FlopCount & { readonly result: T }> {
  const { result, ops } = await profile(body);
  const byOp = Object.fromEntries(
    ops.map(({ op, flops }) => [op, flops] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  const sum = (names: readonly string[]) => names.reduce((total, op) => total + byOp[op]!, 0);
  const names = Object.keys(byOp);
  return {
    result,
    total: sum(names),
    products: sum(names.filter((op) => productOps.has(op))),
    byOp,
  };
}

export interface PaperFlopsOptions {
  /** Those that every token goes through: without tables that are only looked up. */
  parameters: number;
  /** Tokens, or events of histories, that are trained on. */
  tokens: number;
}

/**
 * The rule of thumb for training a transformer, by which the paper compares costs: two operations forward and four
 * backward for each parameter and token.
 *
 *     6 · parameters · tokens
 *
 * It leaves out attention, whose share grows with the length.
 *
 * @see Kaplan et al., "Scaling Laws for Neural Language Models", arXiv:2001.08361, section 2.1
 */
export function paperFlops({ parameters, tokens }: PaperFlopsOptions): number {
  for (const [name, value] of Object.entries({ parameters, tokens }))
    if (!(Number.isFinite(value) && value >= 0))
      throw new UsageError(`paperFlops: ${name} must be a number from 0, got ${value}`);
  return 6 * parameters * tokens;
}
