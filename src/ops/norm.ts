import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";
import { isRecorded } from "./tape.js";

const layerNormOp = defineOp({
  name: "layer_norm",
  inputs: ["x", "weight?", "bias?"],
  attributes: ["epsilon"],
  outputs: ["result", "mean?", "rstd?"],
  gradient: {
    saves: ["x", "weight", "mean", "rstd"],
    rule({ saved: { x, weight, mean, rstd }, grad, needs }) {
      const [xGrad, weightGrad, biasGrad] = layerNormBackward(
        { grad, x, weight, mean: mean!, rstd: rstd! },
        {},
        { x_grad: needs.x, weight_grad: needs.weight, bias_grad: needs.bias },
      );
      return { x: xGrad, weight: weightGrad, bias: biasGrad };
    },
  },
});

const addLayerNormOp = defineOp({
  name: "add_layer_norm",
  inputs: ["x", "residual", "weight?", "bias?"],
  attributes: ["epsilon"],
  outputs: ["result", "sum", "mean?", "rstd?"],
  gradient: {
    saves: ["sum", "weight", "mean", "rstd"],
    rule({ saved: { sum: x, weight, mean, rstd }, grads: { result: grad, sum: sumGrad }, needs }) {
      if (!grad) return { x: sumGrad, residual: sumGrad };
      const [xGrad, weightGrad, biasGrad] = layerNormBackward(
        { grad, x, weight, mean: mean!, rstd: rstd!, sum_grad: sumGrad },
        {},
        {
          x_grad: needs.x || needs.residual,
          weight_grad: needs.weight,
          bias_grad: needs.bias,
        },
      );
      return { x: xGrad, residual: xGrad, weight: weightGrad, bias: biasGrad };
    },
  },
});

const layerNormBackward = defineOp({
  name: "layer_norm_backward",
  inputs: ["grad", "x", "rstd", "weight?", "sum_grad?", "mean"],
  attributes: [],
  outputs: ["x_grad?", "weight_grad?", "bias_grad?"],
  gradient: { none: "second derivatives are not supported" },
});

const rmsNormOp = defineOp({
  name: "rms_norm",
  inputs: ["x", "weight?"],
  attributes: ["epsilon", "weight_offset"],
  outputs: ["result", "rstd?"],
  gradient: {
    saves: ["x", "weight", "rstd"],
    rule({ saved: { x, weight, rstd }, attributes: { weight_offset }, grad, needs }) {
      const [xGrad, weightGrad] = rmsNormBackward(
        { grad, x, weight, rstd: rstd! },
        { weight_offset },
        { x_grad: needs.x, weight_grad: needs.weight },
      );
      return { x: xGrad, weight: weightGrad };
    },
  },
});

const addRmsNormOp = defineOp({
  name: "add_rms_norm",
  inputs: ["x", "residual", "weight?"],
  attributes: ["epsilon", "weight_offset"],
  outputs: ["result", "sum", "rstd?"],
  gradient: {
    saves: ["sum", "weight", "rstd"],
    rule({ saved, attributes: { weight_offset }, grads: { result: grad, sum: sumGrad }, needs }) {
      if (!grad) return { x: sumGrad, residual: sumGrad };
      const [xGrad, weightGrad] = rmsNormBackward(
        { grad, x: saved.sum, weight: saved.weight, rstd: saved.rstd!, sum_grad: sumGrad },
        { weight_offset },
        { x_grad: needs.x || needs.residual, weight_grad: needs.weight },
      );
      return { x: xGrad, residual: xGrad, weight: weightGrad };
    },
  },
});

const rmsNormBackward = defineOp({
  name: "rms_norm_backward",
  inputs: ["grad", "x", "rstd", "weight?", "sum_grad?"],
  attributes: ["weight_offset"],
  outputs: ["x_grad?", "weight_grad?"],
  gradient: { none: "second derivatives are not supported" },
});

export interface LayerNormOptions {
  /** Added to the variance. Default: 1e-5. */
  eps?: number;
}

export interface RmsNormOptions {
  /** Added to the mean of the squares. Default: 1e-6. */
  eps?: number;
  /** Added to the weight; 1 for checkpoints that store `weight - 1` (Gemma). Default: 0. */
  weightOffset?: number;
}

/** A residual sum and its normalisation; both are differentiable. */
export interface AddedAndNormalized {
  /** `x + residual` */
  sum: Tensor;
  result: Tensor;
}

/**
 * Layer normalisation over the last dimension.
 *
 *     (x - mean x) / √(var x + eps) · weight + bias
 *
 * @param x      `[..., width]`, float32 or float64
 * @param weight `[width]`
 * @param bias   `[width]`
 * @returns      the shape of `x`
 * @throws ShapeError when weight or bias do not have the width of `x`
 */
export function layerNorm(
  x: Tensor,
  weight?: Tensor,
  bias?: Tensor,
  { eps = 1e-5 }: LayerNormOptions = {},
): Tensor {
  const recorded = isRecorded(x, weight, bias);
  const [result] = layerNormOp(
    { x, weight, bias },
    { epsilon: eps },
    { mean: recorded, rstd: recorded },
  );
  return result;
}

/**
 * Adds and normalises in one pass: `sum = x + residual`, `result = layerNorm(sum, weight, bias)`.
 *
 * @param x        `[..., width]`
 * @param residual the shape of `x`
 * @param weight   `[width]`
 * @param bias     `[width]`
 * @throws ShapeError when the shapes disagree
 * @see layerNorm
 */
export function addLayerNorm(
  x: Tensor,
  residual: Tensor,
  weight?: Tensor,
  bias?: Tensor,
  { eps = 1e-5 }: LayerNormOptions = {},
): AddedAndNormalized {
  const recorded = isRecorded(x, residual, weight, bias);
  const [result, sum] = addLayerNormOp(
    { x, residual, weight, bias },
    { epsilon: eps },
    { mean: recorded, rstd: recorded },
  );
  return { sum, result };
}

/**
 * Root-mean-square normalisation over the last dimension.
 *
 *     x / √(mean x² + eps) · (weightOffset + weight)
 *
 * @param x      `[..., width]`, float32 or float64
 * @param weight `[width]`
 * @returns      the shape of `x`
 * @throws ShapeError when the weight does not have the width of `x`
 */
export function rmsNorm(
  x: Tensor,
  weight?: Tensor,
  { eps = 1e-6, weightOffset = 0 }: RmsNormOptions = {},
): Tensor {
  const [result] = rmsNormOp(
    { x, weight },
    { epsilon: eps, weight_offset: weightOffset },
    { rstd: isRecorded(x, weight) },
  );
  return result;
}

/**
 * Adds and normalises in one pass: `sum = x + residual`, `result = rmsNorm(sum, weight)`.
 *
 * @param x        `[..., width]`
 * @param residual the shape of `x`
 * @param weight   `[width]`
 * @throws ShapeError when the shapes disagree
 * @see rmsNorm
 */
export function addRmsNorm(
  x: Tensor,
  residual: Tensor,
  weight?: Tensor,
  { eps = 1e-6, weightOffset = 0 }: RmsNormOptions = {},
): AddedAndNormalized {
  const [result, sum] = addRmsNormOp(
    { x, residual, weight },
    { epsilon: eps, weight_offset: weightOffset },
    { rstd: isRecorded(x, residual, weight) },
  );
  return { sum, result };
}
