#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// best[j] = the position r of the largest x[r * stride + j], the first of several; NaN is the largest.
SIMD_DECLARE(void, argmax_columns_f32, (const float* x, int32_t* best, int64_t rows, int64_t stride, int64_t width))
SIMD_DECLARE(void, argmax_columns_f64, (const double* x, int32_t* best, int64_t rows, int64_t stride, int64_t width))

}  // namespace userllm
