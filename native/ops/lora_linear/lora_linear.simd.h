#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// Products with few rows or columns, `ranks` of them. Row strides are in elements.

// down[row, r] = sum over i < width of x[row, i] · weight[r, i]
template <class T> struct LoraDown {
  const T* x;
  int64_t x_stride;
  const T* weight;
  int64_t weight_stride;
  T* down;
  int64_t down_stride;
  int64_t rows, width, ranks;
};

// result[row, i] = residual[row, i] + sum over r < ranks of down[row, r] · up[r, i], for i < width. The residual may be
// null; its stride is the result's.
template <class T> struct LoraUp {
  const T* down;
  int64_t down_stride;
  const T* up;
  int64_t up_stride;
  const T* residual;
  T* result;
  int64_t result_stride;
  int64_t rows, width, ranks;
};

// sums[r, i] += sum over rows of down[row, r] · x[row, i], for i < width
template <class T> struct LoraOuter {
  const T* down;
  int64_t down_stride;
  const T* x;
  int64_t x_stride;
  T* sums;
  int64_t sums_stride;
  int64_t rows, width, ranks;
};

SIMD_DECLARE(void, lora_down_f32, (const LoraDown<float>& call))
SIMD_DECLARE(void, lora_down_f64, (const LoraDown<double>& call))
SIMD_DECLARE(void, lora_up_f32, (const LoraUp<float>& call))
SIMD_DECLARE(void, lora_up_f64, (const LoraUp<double>& call))
SIMD_DECLARE(void, lora_outer_f32, (const LoraOuter<float>& call))
SIMD_DECLARE(void, lora_outer_f64, (const LoraOuter<double>& call))

}  // namespace userllm
