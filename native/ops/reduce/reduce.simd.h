#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

enum class Fold : int { kSum, kMax, kMin };

// All of n > 0 elements. A lane of a float sum has 64 terms; what they give is added in double. NaN propagates.
SIMD_DECLARE(double, fold_f32, (Fold fold, const float* x, int64_t n))
SIMD_DECLARE(double, fold_f64, (Fold fold, const double* x, int64_t n))

// y[r] = the fold of row r, divided by `divisor`.
SIMD_DECLARE(void, fold_rows_f32, (Fold fold, const float* x, float* y, int64_t rows, int64_t width, double divisor))
SIMD_DECLARE(void, fold_rows_f64, (Fold fold, const double* x, double* y, int64_t rows, int64_t width, double divisor))

// y[j] = the fold over r of x[r * stride + j].
SIMD_DECLARE(void, fold_columns_f32, (Fold fold, const float* x, float* y, int64_t rows, int64_t stride, int64_t width))
SIMD_DECLARE(void, fold_columns_f64,
             (Fold fold, const double* x, double* y, int64_t rows, int64_t stride, int64_t width))

}  // namespace userllm
