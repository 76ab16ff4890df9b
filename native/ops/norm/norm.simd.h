#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// Pointers may be null where the comment says so.
template <class T> struct NormRows {
  const T *x, *residual, *weight, *bias;  // all but x
  T *result, *sum, *mean, *rstd;          // sum: without a residual; mean and rstd: when nobody wants them
  int64_t rows, width;
  T epsilon, weight_offset;
};

// s = x + residual, and of each row of s:
//   layer_norm   (s - mean) · rstd · (weight_offset + weight) + bias,  rstd = 1 / √(variance + epsilon)
//   rms_norm     s · rstd · (weight_offset + weight),                  rstd = 1 / √(mean of squares + epsilon)
SIMD_DECLARE(void, layer_norm_f32, (const NormRows<float>& rows))
SIMD_DECLARE(void, layer_norm_f64, (const NormRows<double>& rows))
SIMD_DECLARE(void, rms_norm_f32, (const NormRows<float>& rows))
SIMD_DECLARE(void, rms_norm_f64, (const NormRows<double>& rows))

template <class T> struct NormBackwardRows {
  const T *grad, *x, *mean, *rstd;      // mean: of rms_norm
  const T *weight, *sum_grad;           // both; sum_grad is added to x_grad
  T *x_grad, *weight_sums, *bias_sums;  // all; the sums of these rows are written
  int64_t rows, width;
  T weight_offset;
};

SIMD_DECLARE(void, layer_norm_backward_f32, (const NormBackwardRows<float>& rows))
SIMD_DECLARE(void, layer_norm_backward_f64, (const NormBackwardRows<double>& rows))
SIMD_DECLARE(void, rms_norm_backward_f32, (const NormBackwardRows<float>& rows))
SIMD_DECLARE(void, rms_norm_backward_f64, (const NormBackwardRows<double>& rows))

}  // namespace userllm
