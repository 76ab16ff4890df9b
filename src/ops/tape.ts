import type { Shape, Tensor, Trace } from "../tensor/tensor.js";

/** Where a tensor comes from: output `output` of `node`, or, without a node, a watched leaf. */
export interface TapeTrace extends Trace {
  readonly tape: Tape;
  readonly node: TapeNode | undefined;
  readonly output: number;
}

/** One recorded op. Inputs and outputs are flat: lists are laid out in place. */
export interface TapeNode {
  readonly op: string;
  /** Where each input comes from; `undefined` where no gradient is wanted. */
  readonly parents: readonly (TapeTrace | undefined)[];
  readonly outputs: readonly Shape[];
  /** Kept until backward has passed. */
  readonly saved: readonly Tensor[];
  /** Gradients of the outputs (`undefined`: none) to those of the inputs. Runs once. */
  backward(grads: readonly (Tensor | undefined)[]): readonly (Tensor | undefined)[];
}

/** What was computed since `valueAndGrad` began, in order. */
export interface Tape {
  readonly nodes: TapeNode[];
  /** The watched tensors, each with its trace. */
  readonly leaves: Map<Tensor, TapeTrace>;
}

let current: Tape | undefined;

/** The tape that ops record on; `undefined` outside `valueAndGrad` and inside `noGrad`. */
export const recordingTape = (): Tape | undefined => current;

/** Runs `body` with `tape` recording, or with none. */
export function withTape<T>(tape: Tape | undefined, body: () => T): T {
  const outer = current;
  current = tape;
  try {
    return body();
  } finally {
    current = outer;
  }
}

/** How `tensor` came about on `tape`; `undefined` when it does not depend on a watched tensor. */
export function traceOn(tape: Tape, tensor: Tensor): TapeTrace | undefined {
  const trace = tensor.trace as TapeTrace | undefined;
  return trace?.tape === tape ? trace : tape.leaves.get(tensor);
}

/** Whether an op on these tensors is recorded: its gradient rule will then want what it saves. */
export const isRecorded = (...tensors: readonly (Tensor | undefined)[]): boolean =>
  current !== undefined &&
  tensors.some((tensor) => tensor !== undefined && traceOn(current!, tensor) !== undefined);

/** Records `result` as a view of `x`: what `backward` makes of its gradient is the gradient of `x`. */
export const recordView = (
  op: string,
  x: Tensor,
  result: Tensor,
  backward: (grad: Tensor) => Tensor,
): void => recordViews(op, x, [result], ([grad]) => backward(grad!));

/** Records `results` as parts of `x`; `backward` is given the gradient of each, `undefined` where there is none. */
export function recordViews(
  op: string,
  x: Tensor,
  results: readonly Tensor[],
  backward: (grads: readonly (Tensor | undefined)[]) => Tensor,
): void {
  const tape = current;
  const trace = tape && traceOn(tape, x);
  if (!trace) return;
  const node: TapeNode = {
    op,
    parents: [trace],
    outputs: results.map(({ shape }) => shape),
    saved: [],
    backward: (grads) => [backward(grads)],
  };
  tape.nodes.push(node);
  results.forEach((result, output) => {
    result.trace = { tape, node, output } as TapeTrace;
  });
}

/**
 * Runs `body` without recording: what it computes is a constant for the gradients.
 */
export const noGrad = <T>(body: () => T): T => withTape(undefined, body);
