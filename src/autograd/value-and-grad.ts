import { ShapeError, UsageError } from "../errors.js";
import { accumulate } from "../ops/accumulate.js";
import { add, onesLike } from "../ops/index.js";
import { type Tape, type TapeNode, type TapeTrace, traceOn, withTape } from "../ops/tape.js";
import { closeScope, openScope, type Synchronous, tensorsIn, tidy } from "../tensor/memory.js";
import { formatShape, Tensor, viewOfTensor } from "../tensor/tensor.js";
import type { Parameter } from "./parameter.js";

/** What gradients are taken of: a parameter, or a tensor. */
export type Differentiable = Parameter | Tensor;

/** The gradient of each parameter that the loss depends on, with the parameter's shape. */
export type Gradients<P extends Differentiable = Parameter> = Map<P, Tensor>;

const valueOf = (of: Differentiable): Tensor => (of instanceof Tensor ? of : of.value);

/** `body`'s result: the loss, or an object whose `loss` it is and whose other tensors come back as they are. */
export type Loss = Tensor | { readonly loss: Tensor };
export type WithGradients<L extends Loss, P extends Differentiable> = (L extends Tensor
  ? { loss: L }
  : L) & { gradients: Gradients<P> };

/**
 * Runs `body` and differentiates its result.
 *
 *     const { loss, gradients } = valueAndGrad(model.trainable(), () => model.loss(batch));
 *
 * Everything `body` computes is freed: what no gradient rule needs as soon as it returns, the rest while backward
 * passes. The loss and the gradients belong to the caller (or to the enclosing `tidy`). Parameters that the loss does
 * not depend on have no entry.
 *
 * @param parameters what to differentiate by; floating-point tensors
 * @param body       computes the loss, a tensor with one element; synchronous
 * @throws ShapeError when the loss has more than one element
 */
export function valueAndGrad<P extends Differentiable, L extends Loss>(
  parameters: Iterable<P>,
  body: () => Synchronous<L>,
): WithGradients<L, P> {
  const wanted = [...parameters];
  const tape: Tape = { nodes: [], leaves: new Map() };
  for (const parameter of wanted) watch(tape, valueOf(parameter));

  const scope = openScope();
  const survivors = new Set<Tensor>();
  try {
    const result = withTape(tape, body) as Loss;
    if (typeof (result as { then?: unknown } | undefined)?.then === "function")
      throw new UsageError("valueAndGrad: the body returned a promise; it must be synchronous");
    const loss = result instanceof Tensor ? result : result?.loss;
    if (!(loss instanceof Tensor)) throw new UsageError("valueAndGrad: the body must return the loss, a tensor");
    if (loss.size !== 1)
      throw new ShapeError(`valueAndGrad: the loss must have one element, got ${formatShape(loss.shape)}`);

    const returned = new Set(tensorsIn(result));
    const made = new Set(scope);
    const users = countUsers(tape.nodes);
    for (const tensor of scope) if (!users.has(tensor) && !returned.has(tensor)) tensor.dispose();

    const trace = traceOn(tape, loss);
    const byLeaf = trace
      ? withTape(undefined, () => backward(tape, [[trace, onesLike(loss)]], (node) => release(node)))
      : new Map<TapeTrace, Tensor>();
    const gradients: Gradients<P> = new Map();
    wanted.forEach((parameter) => {
      const gradient = byLeaf.get(tape.leaves.get(valueOf(parameter))!);
      if (gradient) gradients.set(parameter, gradient);
    });
    for (const tensor of returned) survivors.add(tensor);
    for (const tensor of gradients.values()) survivors.add(tensor);
    return (result instanceof Tensor ? { loss, gradients } : { ...result, gradients }) as unknown as WithGradients<L, P>;

    function release(node: TapeNode): void {
      for (const tensor of node.saved) {
        const left = users.get(tensor)! - 1;
        users.set(tensor, left);
        if (left === 0 && made.has(tensor) && !returned.has(tensor)) tensor.dispose();
      }
    }
  } finally {
    for (const tensor of survivors) tensor.trace = undefined;
    closeScope(scope, survivors);
  }
}

/** The gradients alone; see {@link valueAndGrad}. */
export function grad<P extends Differentiable>(
  parameters: Iterable<P>,
  body: () => Synchronous<Tensor>,
): Gradients<P> {
  const { loss, gradients } = valueAndGrad(parameters, body);
  loss.dispose();
  return gradients;
}

/** Makes `tensor` a leaf of `tape`. */
export function watch(tape: Tape, tensor: Tensor): void {
  if (tensor.dtype !== "float32" && tensor.dtype !== "float64")
    throw new UsageError(`valueAndGrad: ${tensor.toString()} is not differentiable; use float32 or float64`);
  if (!tape.leaves.has(tensor)) tape.leaves.set(tensor, { tape, node: undefined, output: 0 });
}

/** In how many nodes each tensor is saved. */
function countUsers(nodes: readonly TapeNode[]): Map<Tensor, number> {
  const users = new Map<Tensor, number>();
  for (const node of nodes) for (const tensor of node.saved) users.set(tensor, (users.get(tensor) ?? 0) + 1);
  return users;
}

/** A gradient on its way to the node that made the tensor. */
interface Pending {
  gradient: Tensor;
  /** Whether it is a sum that the tape made, so that more may be added in place. */
  owned: boolean;
}

/**
 * Walks `tape` backward from `seeds` and returns the gradients of its leaves. `done` is called after each node.
 */
export function backward(
  tape: Tape,
  seeds: readonly (readonly [TapeTrace, Tensor])[],
  done: (node: TapeNode) => void,
): Map<TapeTrace, Tensor> {
  const pending = new Map<TapeNode, (Pending | undefined)[]>();
  const leaves = new Map<TapeTrace, Pending>();

  const arrive = (to: TapeTrace, gradient: Tensor): void => {
    const slots = to.node ? (pending.get(to.node) ?? []) : undefined;
    if (to.node) pending.set(to.node, slots!);
    const before = slots ? slots[to.output] : leaves.get(to);
    let next: Pending;
    if (!before) next = { gradient, owned: false };
    else if (before.owned) {
      accumulate(before.gradient, gradient);
      gradient.dispose();
      next = before;
    } else {
      next = { gradient: add(before.gradient, gradient), owned: true };
      before.gradient.dispose();
      gradient.dispose();
    }
    if (slots) slots[to.output] = next;
    else leaves.set(to, next);
  };

  for (const [trace, gradient] of seeds) arrive(trace, gradient);
  for (let i = tape.nodes.length - 1; i >= 0; i--) {
    const node = tape.nodes[i]!;
    const slots = pending.get(node);
    pending.delete(node);
    if (slots) {
      const grads = node.outputs.map((_, output) => slots[output]?.gradient);
      const fresh = tidy(() => ownHandles(node.backward(grads), node.parents));
      for (const gradient of grads) gradient?.dispose();
      node.parents.forEach((parent, k) => {
        const gradient = fresh[k];
        if (parent && gradient) arrive(parent, gradient);
      });
    }
    done(node);
  }
  tape.nodes.length = 0;
  return new Map([...leaves].map(([leaf, { gradient }]) => [leaf, gradient]));
}

/** A handle of its own for each gradient: a rule may return its argument, or one tensor for two inputs. */
function ownHandles(
  gradients: readonly (Tensor | undefined)[],
  parents: readonly (TapeTrace | undefined)[],
): (Tensor | undefined)[] {
  return gradients.map((gradient, i) =>
    gradient && parents[i] ? viewOfTensor(gradient, gradient.shape) : undefined,
  );
}
