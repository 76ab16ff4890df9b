#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// Sum of x^2, in double: no finite float32 overflows it.
SIMD_DECLARE(double, sum_of_squares_f32, (const float* x, int64_t n))
SIMD_DECLARE(double, sum_of_squares_f64, (const double* x, int64_t n))

}  // namespace userllm
