import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";

/** The wire code is the position. */
const activations = ["silu", "gelu"] as const;
/** Of the gate of a gated MLP; `gelu` is the tanh form. */
export type GateActivation = (typeof activations)[number];

const forward = defineOp({
  name: "gated",
  inputs: ["gate", "up?"],
  attributes: ["activation"],
  outputs: ["result"],
  gradient: {
    saves: ["gate", "up"],
    rule({ saved: { gate, up }, attributes, grad, needs }) {
      const [gateGrad, upGrad] = backward({ grad, gate, up }, attributes, {
        gate_grad: needs.gate,
        up_grad: needs.up,
      });
      return { gate: gateGrad, up: upGrad };
    },
  },
});

const backward = defineOp({
  name: "gated_backward",
  inputs: ["grad", "gate", "up?"],
  attributes: ["activation"],
  outputs: ["gate_grad?", "up_grad?"],
  gradient: { none: "second derivatives are not supported" },
});

const gated = (gate: Tensor, up: Tensor | undefined, activation: GateActivation): Tensor =>
  forward({ gate, up }, { activation: activations.indexOf(activation) })[0];

/**
 * The inside of a gated MLP, with SiLU: one pass forward, and one backward.
 *
 *     silu(gate) · up,        silu(x) = x / (1 + e⁻ˣ)
 *
 * @param gate `[..., width]`, float32 or float64; without `up`: `[..., 2 · width]`, gates first, then ups
 * @param up   the shape of `gate`
 * @returns    `[..., width]`
 * @throws ShapeError when the shapes differ, or a packed width is odd
 * @see Shazeer, "GLU variants improve transformer", arXiv:2002.05202
 */
export const swiglu = (gate: Tensor, up?: Tensor): Tensor => gated(gate, up, "silu");

/**
 * The inside of a gated MLP, with the tanh form of GELU: one pass forward, and one backward.
 *
 *     gelu(gate) · up,        gelu(x) = x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))
 *
 * @param gate `[..., width]`, float32 or float64; without `up`: `[..., 2 · width]`, gates first, then ups
 * @param up   the shape of `gate`
 * @returns    `[..., width]`
 * @throws ShapeError when the shapes differ, or a packed width is odd
 * @see Shazeer, "GLU variants improve transformer", arXiv:2002.05202
 */
export const geglu = (gate: Tensor, up?: Tensor): Tensor => gated(gate, up, "gelu");
