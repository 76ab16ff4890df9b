#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// to[i] = the sum of row i of x [rows, width].
SIMD_DECLARE(void, sum_rows_f32, (const float* x, float* to, int64_t rows, int64_t width))
SIMD_DECLARE(void, sum_rows_f64, (const double* x, double* to, int64_t rows, int64_t width))

// to[j] = the sum over rows of x[row * stride + j], for j < width.
SIMD_DECLARE(void, sum_columns_f32, (const float* x, float* to, int64_t rows, int64_t width, int64_t stride))
SIMD_DECLARE(void, sum_columns_f64, (const double* x, double* to, int64_t rows, int64_t width, int64_t stride))

}  // namespace userllm
