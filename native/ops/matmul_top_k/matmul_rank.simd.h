#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// How many of x[0, n) are not below `bound`: all of them when `bound` is NaN, and every NaN.
SIMD_DECLARE(int64_t, count_not_below_f32, (const float* x, int64_t n, float bound))
SIMD_DECLARE(int64_t, count_not_below_f64, (const double* x, int64_t n, double bound))

}  // namespace userllm
