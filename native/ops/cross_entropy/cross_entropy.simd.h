#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// Maximum of a row, and log(sum(exp(x - max))).
SIMD_DECLARE(void, log_sum_exp_f32, (const float* x, int64_t width, float* max, float* log_sum))
SIMD_DECLARE(void, log_sum_exp_f64, (const double* x, int64_t width, double* max, double* log_sum))

// sum(x - from) of a row.
SIMD_DECLARE(float, sum_of_differences_f32, (const float* x, float from, int64_t width))
SIMD_DECLARE(double, sum_of_differences_f64, (const double* x, double from, int64_t width))

// dx = scale * (exp(x - log_sum_exp) - floor) of a row.
SIMD_DECLARE(void, cross_entropy_backward_row_f32,
             (const float* x, float log_sum_exp, float scale, float floor, float* dx, int64_t width))
SIMD_DECLARE(void, cross_entropy_backward_row_f64,
             (const double* x, double log_sum_exp, double scale, double floor, double* dx, int64_t width))

}  // namespace userllm
