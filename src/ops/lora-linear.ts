import { UsageError } from "../errors.js";
import type { Shape, Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";
import { biasGrad, linear, weightGrad } from "./linear.js";
import { type Precision, precisionCode } from "./precision.js";
import { reshape } from "./reshape.js";
import { split } from "./slice.js";
import { isRecorded } from "./tape.js";

const forward = defineOp({
  name: "lora_linear",
  inputs: ["x", "weight", "bias?", "residual?", "adapter_input?", "shadow?", "a*", "b*"],
  attributes: ["offsets*", "scales*", "precision"],
  outputs: ["result", "down?"],
  gradient: {
    saves(needs) {
      const a = needs.a.includes(true);
      return [
        ...(needs.weight || (a && !needs.adapter_input) ? (["x"] as const) : []),
        ...(a ? (["adapter_input"] as const) : []),
        ...(needs.x ? (["weight", "shadow"] as const) : []),
        ...(needs.b.includes(true) ? (["down"] as const) : []),
        "a",
        "b",
      ];
    },
    rule({ saved, shapes, attributes, grad, needs }) {
      const { x, weight, shadow, adapter_input: adapterInput, a, b, down } = saved;
      const [wantsA, wantsB] = [needs.a.includes(true), needs.b.includes(true)];
      const [xGrad, adapterInputGrad, aGrad, bGrad] = backward(
        {
          grad,
          weight: needs.x ? weight : undefined,
          shadow: needs.x ? shadow : undefined,
          adapter_input: wantsA ? (adapterInput ?? x) : undefined,
          down: wantsB ? down : undefined,
          a,
          b,
        },
        { ...attributes, shared: shapes.adapter_input.length === 0 ? 1 : 0 },
        {
          x_grad: needs.x,
          adapter_input_grad: needs.adapter_input,
          a_grad: wantsA,
          b_grad: wantsB,
        },
      );
      return {
        x: xGrad,
        weight: needs.weight ? weightGrad(grad, x, attributes.precision) : undefined,
        bias: needs.bias ? biasGrad(grad) : undefined,
        residual: needs.residual ? grad : undefined,
        adapter_input: adapterInputGrad,
        a: aGrad && partsOf(aGrad, shapes.a),
        b: bGrad && partsOf(bGrad, shapes.b),
      };
    },
  },
});

const backward = defineOp({
  name: "lora_linear_backward",
  inputs: ["grad", "weight?", "adapter_input?", "down?", "shadow?", "a*", "b*"],
  attributes: ["offsets*", "scales*", "precision", "shared"],
  outputs: ["x_grad?", "adapter_input_grad?", "a_grad?", "b_grad?"],
  gradient: { none: "second derivatives are not supported" },
});

/** The gradients that lie one behind the other in `all`. */
function partsOf(all: Tensor, shapes: readonly Shape[]): Tensor[] {
  const sizes = shapes.map(([rows = 0, columns = 0]) => rows * columns);
  return split(reshape(all, [-1]), sizes).map((part, i) => reshape(part, shapes[i]!));
}

/** A low-rank matrix `scale · b · a` that is added to rows of a weight. */
export interface LowRankAdapter {
  /** `[rank, inWidth]` */
  a: Tensor;
  /** `[outWidth, rank]`, of as many of the weight's rows as it changes. */
  b: Tensor;
  scale: number;
  /** The first of those rows: where keys begin in a packed weight of queries, keys and values. Default: 0. */
  offset?: number;
}

export interface LoraLinearOptions {
  /** Added last: `[..., outWidth]`. */
  residual?: Tensor | undefined;
  /** What the adapters see instead of `x`, such as a dropout of it: the shape of `x`. */
  adapterInput?: Tensor | undefined;
  /**
   * Of the products with `weight`; those with the adapters have the dtype of `x`. A bfloat16 `weight` implies
   * `bfloat16`. Default: `float32`, which leaves operands as they are.
   */
  precision?: Precision;
  /** `weight` in bfloat16 (`Parameter.shadow`), read in its place by `precision: "bfloat16"`. */
  shadow?: Tensor | undefined;
}

/**
 * A linear layer with low-rank adapters.
 *
 *     x · weightᵀ + bias + residual, where each adapter adds
 *     scale · (adapterInput · aᵀ) · bᵀ        to the columns from `offset` on
 *
 * It takes one pass over the result, forward and backward, and `b · a` is never made. What is frozen costs nothing: a
 * weight that wants no gradient lets `x` go unless an `a` needs it.
 *
 * @param x        `[..., inWidth]`, float32 or float64
 * @param weight   `[outWidth, inWidth]`, of the dtype of `x`, or bfloat16
 * @param bias     `[outWidth]`
 * @param adapters any number; their columns may overlap
 * @returns        `[..., outWidth]`
 * @throws ShapeError when widths or ranks disagree, or an adapter does not lie within `outWidth`
 * @throws DTypeError when adapters and `x` differ
 * @see Hu et al., "LoRA: low-rank adaptation of large language models", arXiv:2106.09685
 */
export function loraLinear(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  adapters: readonly LowRankAdapter[],
  { residual, adapterInput, precision = "float32", shadow }: LoraLinearOptions = {},
): Tensor {
  if (!Array.isArray(adapters)) throw new UsageError("loraLinear: adapters must be an array");
  if (adapters.length === 0) return linear(x, weight, bias, { residual, precision, shadow });
  const b = adapters.map((adapter) => adapter.b);
  const [result] = forward(
    {
      x,
      weight,
      bias,
      residual,
      adapter_input: adapterInput === x ? undefined : adapterInput,
      shadow,
      a: adapters.map((adapter) => adapter.a),
      b,
    },
    {
      offsets: adapters.map(({ offset = 0 }) => offset),
      scales: adapters.map(({ scale }) => scale),
      precision: precisionCode("loraLinear", precision),
    },
    { down: isRecorded(...b) },
  );
  return result;
}
