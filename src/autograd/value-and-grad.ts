import { ShapeError, UsageError } from "../errors.js";
import { onesLike } from "../ops/index.js";
import { type Synchronous, tidy } from "../tensor/memory.js";
import { formatShape, Tensor } from "../tensor/tensor.js";
import { differentiate } from "./differentiate.js";
import type { Parameter } from "./parameter.js";

/** What gradients are taken of: a parameter, or a tensor. */
export type Differentiable = Parameter | Tensor;

/** The gradient of each parameter that the loss depends on, with the parameter's shape. */
export type Gradients<P extends Differentiable = Parameter> = Map<P, Tensor>;

/** What a body returns: the loss, or an object whose `loss` it is, beside other tensors to keep. */
export type Loss = Tensor | { readonly loss: Tensor };

/** `valueAndGrad`'s result: what the body returned (a bare loss as `loss`), and the gradients. */
export type WithGradients<L extends Loss, P extends Differentiable> = (L extends Tensor
  ? { loss: L }
  : L) & { gradients: Gradients<P> };

/**
 * Runs `body` and differentiates its result.
 *
 *     const { loss, gradients } = valueAndGrad(model.trainable(), () => model.loss(batch));
 *
 * Everything `body` computes is freed: what no gradient rule needs as soon as it returns, the rest while backward
 * passes. What it returns and the gradients belong to the caller (or to the enclosing `tidy`).
 *
 * @param parameters what to differentiate by: float32 or float64. One that the loss does not depend on gets no entry.
 * @param body       computes the loss, a tensor with one element; synchronous
 * @throws ShapeError when the loss has more than one element
 */
export function valueAndGrad<P extends Differentiable, L extends Loss>(
  parameters: Iterable<P>,
  body: () => Synchronous<L>,
): WithGradients<L, P> {
  const wanted = [...parameters];
  const { result, gradients } = differentiate(
    wanted.map(valueOf),
    () => {
      const result: unknown = body();
      if (typeof (result as { then?: unknown } | undefined)?.then === "function")
        throw new UsageError("valueAndGrad: the body returned a promise; it must be synchronous");
      const root =
        result instanceof Tensor ? result : (result as { loss?: unknown } | undefined)?.loss;
      if (!(root instanceof Tensor))
        throw new UsageError("valueAndGrad: the body must return the loss, a tensor");
      if (root.size !== 1)
        throw new ShapeError(
          `valueAndGrad: the loss must have one element, got ${formatShape(root.shape)}`,
        );
      return { result: result as Loss, root };
    },
    onesLike,
  );
  const byParameter: Gradients<P> = new Map();
  for (const parameter of wanted) {
    const gradient = gradients.get(valueOf(parameter));
    if (gradient) byParameter.set(parameter, gradient);
  }
  const kept = result instanceof Tensor ? { loss: result } : result;
  return { ...kept, gradients: byParameter } as unknown as WithGradients<L, P>;
}

/** The gradients alone; see {@link valueAndGrad}. */
export function grad<P extends Differentiable>(
  parameters: Iterable<P>,
  body: () => Tensor,
): Gradients<P> {
  return tidy(() => valueAndGrad(parameters, body).gradients);
}

const valueOf = (of: Differentiable): Tensor => (of instanceof Tensor ? of : of.value);
