#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// target += weight * value.
SIMD_DECLARE(void, add_weighted_f32, (float* target, const float* value, int64_t n, double weight))
SIMD_DECLARE(void, add_weighted_f64, (double* target, const double* value, int64_t n, double weight))

// target /= divisor.
SIMD_DECLARE(void, divide_f32, (float* target, int64_t n, double divisor))
SIMD_DECLARE(void, divide_f64, (double* target, int64_t n, double divisor))

}  // namespace userllm
