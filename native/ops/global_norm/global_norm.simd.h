#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// y = x * factor.
SIMD_DECLARE(void, multiply_f32, (const float* x, float* y, int64_t n, double factor))
SIMD_DECLARE(void, multiply_f64, (const double* x, double* y, int64_t n, double factor))

}  // namespace userllm
