import type { Parameter } from "../autograd/parameter.js";
import type { Differentiable, Gradients } from "../autograd/value-and-grad.js";
import { accumulateWeighted, divideBy, zeros, zerosLike } from "../ops/index.js";
import { keep, tidy } from "../tensor/memory.js";
import { Tensor, tensor, viewOfTensor } from "../tensor/tensor.js";
import { requireNumber } from "./slots.js";

/**
 * The gradient of a mean over many micro-batches: what one big batch would give.
 *
 *     Σ weightᵢ · gradientᵢ / Σ weightᵢ
 *
 * where micro-batch i has the gradient of its own mean loss over `weightᵢ` tokens. Weighting by micro-batch instead
 * would favour the tokens of short ones. Weights may be device scalars: nothing waits.
 *
 *     const accumulator = new GradientAccumulator();
 *     for (const batch of microBatches) {
 *       const { loss, tokens, gradients } = valueAndGrad(parameters, () => model.loss(batch));
 *       accumulator.add(gradients, tokens);
 *     }
 *     optimizer.step(accumulator.result());
 */
export class GradientAccumulator<P extends Differentiable = Parameter> implements Disposable {
  readonly #sums = new Map<P, Tensor>();
  #total: Tensor | undefined;

  /**
   * Adds the gradients of one micro-batch; they stay the caller's. A parameter without an entry counts as zero.
   *
   * @param weight how many tokens (or examples) the loss is the mean of: a number, or a tensor with one element,
   *               float32, float64 or int32. 0 adds nothing, even where the mean over nothing was NaN.
   * @throws ShapeError, DTypeError when a gradient is not like those before
   */
  add(gradients: Gradients<P>, weight: number | Tensor): void {
    if (!(weight instanceof Tensor)) requireNumber("GradientAccumulator", "weight", weight, 0);
    tidy(() => {
      this.#total ??= keep(zeros([], { dtype: "float64" }));
      for (const [parameter, gradient] of gradients)
        if (!this.#sums.has(parameter)) this.#sums.set(parameter, keep(zerosLike(gradient)));
      accumulateWeighted(
        [...gradients.keys()].map((parameter) => this.#sums.get(parameter)!),
        [...gradients.values()],
        this.#total,
        weight instanceof Tensor ? weight : tensor(weight, { dtype: "float64" }),
      );
    });
  }

  /** The mean so far, which belongs to the caller (or to the enclosing `tidy`). The accumulator is empty again. */
  result(): Gradients<P> {
    if (this.#total) divideBy([...this.#sums.values()], this.#total);
    const result: Gradients<P> = new Map();
    for (const [parameter, sum] of this.#sums) result.set(parameter, viewOfTensor(sum, sum.shape));
    this.dispose();
    return result;
  }

  /** Forgets what was added. */
  dispose(): void {
    for (const sum of this.#sums.values()) sum.dispose();
    this.#sums.clear();
    this.#total?.dispose();
    this.#total = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
