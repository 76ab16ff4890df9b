#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// y = x - log(sum(exp(x))) of each of `rows` rows; a row of only -inf gives NaN, as PyTorch's.
SIMD_DECLARE(void, log_softmax_rows_f32, (const float* x, float* y, int64_t rows, int64_t width))
SIMD_DECLARE(void, log_softmax_rows_f64, (const double* x, double* y, int64_t rows, int64_t width))

// dx = g - exp(y) * sum(g) of each row.
SIMD_DECLARE(void, log_softmax_backward_rows_f32,
             (const float* y, const float* g, float* dx, int64_t rows, int64_t width))
SIMD_DECLARE(void, log_softmax_backward_rows_f64,
             (const double* y, const double* g, double* dx, int64_t rows, int64_t width))

}  // namespace userllm
