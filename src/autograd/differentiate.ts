import { UsageError } from "../errors.js";
import { accumulate, add } from "../ops/index.js";
import { type Tape, type TapeNode, type TapeTrace, traceOn, withTape } from "../ops/tape.js";
import { closeScope, openScope, tensorsIn, tidy } from "../tensor/memory.js";
import { type Tensor, viewOfTensor } from "../tensor/tensor.js";

/** What `differentiate` runs: its result may hold more tensors than the root. */
export interface Differentiated<R> {
  result: R;
  /** The tensor whose gradients are wanted. */
  root: Tensor;
}

/**
 * Runs `body` on a tape of its own and walks back from its root.
 *
 * Everything `body` made is freed: what no gradient rule saves as soon as it returns, the rest while backward passes.
 * What it returned and the gradients go to the enclosing scope.
 *
 * @param leaves what to differentiate by
 * @param seed   makes the gradient of the root
 * @returns the gradient of every leaf that the root depends on
 */
export function differentiate<R>(
  leaves: Iterable<Tensor>,
  body: () => Differentiated<R>,
  seed: (root: Tensor) => Tensor,
): { result: R; gradients: Map<Tensor, Tensor> } {
  const tape: Tape = { nodes: [], leaves: new Map() };
  for (const leaf of leaves) watch(tape, leaf);
  const scope = openScope();
  const survivors = new Set<Tensor>();
  try {
    const { result, root } = withTape(tape, body);
    const returned = new Set(tensorsIn(result));
    const users = countUsers(tape.nodes);
    const made = new Set(scope);
    for (const tensor of scope)
      if (!users.has(tensor) && !returned.has(tensor) && tensor !== root) tensor.dispose();

    const gradients = new Map<Tensor, Tensor>();
    const trace = traceOn(tape, root);
    if (trace) {
      const byTrace = withTape(undefined, () => backward(tape, trace, seed(root), release));
      for (const [leaf, leafTrace] of tape.leaves) {
        const gradient = byTrace.get(leafTrace);
        if (gradient) gradients.set(leaf, gradient);
      }
    }
    for (const tensor of returned) survivors.add(tensor);
    for (const tensor of gradients.values()) survivors.add(tensor);
    return { result, gradients };

    function release(node: TapeNode): void {
      for (const tensor of node.saved) {
        const left = users.get(tensor)! - 1;
        users.set(tensor, left);
        if (left === 0 && made.has(tensor) && !returned.has(tensor)) tensor.dispose();
      }
    }
  } finally {
    for (const tensor of survivors) if (tensor.trace?.tape === tape) tensor.trace = undefined;
    closeScope(scope, survivors);
  }
}

function watch(tape: Tape, tensor: Tensor): void {
  if (tensor.dtype !== "float32" && tensor.dtype !== "float64")
    throw new UsageError(
      `${tensor.toString()} is not differentiable; only float32 and float64 are`,
    );
  if (!tape.leaves.has(tensor)) tape.leaves.set(tensor, { tape, node: undefined, output: 0 });
}

/** In how many nodes each tensor is saved. */
function countUsers(nodes: readonly TapeNode[]): Map<Tensor, number> {
  const users = new Map<Tensor, number>();
  for (const node of nodes)
    for (const tensor of node.saved) users.set(tensor, (users.get(tensor) ?? 0) + 1);
  return users;
}

/** A gradient on its way to the node that made the tensor. */
interface Pending {
  gradient: Tensor;
  /** Whether it is a sum that the tape made, so that more may be added in place. */
  owned: boolean;
}

/** Gradients of the leaves of `tape`; `done` is called once a node's saved tensors are no longer needed. */
function backward(
  tape: Tape,
  root: TapeTrace,
  seed: Tensor,
  done: (node: TapeNode) => void,
): Map<TapeTrace, Tensor> {
  const nodes = new Map<TapeNode, (Pending | undefined)[]>();
  const leaves = new Map<TapeTrace, Pending>();

  const arrive = (at: TapeTrace, gradient: Tensor): void => {
    let outputs: (Pending | undefined)[] | undefined;
    if (at.node) {
      outputs = nodes.get(at.node) ?? [];
      nodes.set(at.node, outputs);
    }
    const sum = addTo(outputs ? outputs[at.output] : leaves.get(at), gradient);
    if (outputs) outputs[at.output] = sum;
    else leaves.set(at, sum);
  };

  arrive(root, seed);
  for (let node = tape.nodes.pop(); node; node = tape.nodes.pop()) {
    const { parents } = node;
    const arrived = nodes.get(node);
    if (arrived) {
      nodes.delete(node);
      const grads = node.outputs.map((_, output) => arrived[output]?.gradient);
      const made = tidy(() => ownHandles(node!.backward(grads), parents));
      for (const gradient of grads) gradient?.dispose();
      made.forEach((gradient, i) => {
        if (gradient) arrive(parents[i]!, gradient);
      });
    }
    done(node);
  }
  return new Map([...leaves].map(([leaf, { gradient }]) => [leaf, gradient]));
}

function addTo(sum: Pending | undefined, gradient: Tensor): Pending {
  if (!sum) return { gradient, owned: false };
  if (sum.owned) {
    accumulate(sum.gradient, gradient);
    gradient.dispose();
    return sum;
  }
  const total = add(sum.gradient, gradient);
  sum.gradient.dispose();
  gradient.dispose();
  return { gradient: total, owned: true };
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
