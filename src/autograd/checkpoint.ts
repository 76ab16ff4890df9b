import { recordRandomness } from "../ops/random.js";
import { recordingTape, type TapeNode, type TapeTrace, traceOn, withTape } from "../ops/tape.js";
import { tidy } from "../tensor/memory.js";
import type { Tensor } from "../tensor/tensor.js";
import { differentiate } from "./differentiate.js";

/**
 * Activation checkpointing: runs `segment` without keeping what its gradient needs, and runs it again in backward.
 * Costs one more forward pass of the segment, saves its activations. Dropout repeats the same masks.
 *
 *     for (const block of blocks) x = checkpoint((x) => block.forward(x), x);
 *
 * @param segment a pure function of its inputs and of parameters; tensors computed outside must come as inputs
 * @param inputs  the tensors it reads
 * @see Chen et al., "Training deep nets with sublinear memory cost", arXiv:1604.06174
 */
export function checkpoint<I extends readonly Tensor[]>(
  segment: (...inputs: I) => Tensor,
  ...inputs: I
): Tensor {
  const tape = recordingTape();
  if (!tape) return segment(...inputs);
  const { result, replay } = recordRandomness(() =>
    withTape(undefined, () => tidy(() => segment(...inputs))),
  );

  const leaves = new Map<Tensor, TapeTrace>(tape.leaves);
  for (const input of inputs) {
    const trace = traceOn(tape, input);
    if (trace) leaves.set(input, trace);
  }
  const node: TapeNode = {
    op: "checkpoint",
    parents: [...leaves.values()],
    outputs: [result.shape],
    saved: inputs,
    backward([grad]) {
      const { gradients } = differentiate(
        leaves.keys(),
        () => ({ result: undefined, root: replay(() => segment(...inputs)) }),
        () => grad!,
      );
      return [...leaves.keys()].map((leaf) => gradients.get(leaf));
    },
  };
  tape.nodes.push(node);
  result.trace = { tape, node, output: 0 } as TapeTrace;
  return result;
}
