#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// The first i in [begin, n) with x[i] > bound or x[i] NaN; n if there is none. `bound` is not NaN.
SIMD_DECLARE(int64_t, find_above_f32, (const float* x, int64_t begin, int64_t n, float bound))
SIMD_DECLARE(int64_t, find_above_f64, (const double* x, int64_t begin, int64_t n, double bound))

}  // namespace userllm
