#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// `rounds` of independent float32 multiply-adds in registers; returns the number of floating-point operations.
SIMD_DECLARE(double, multiply_adds, (int64_t rounds, float* sink))

// Copies whole vectors with ordinary stores, which fill the caches as those of most ops do.
SIMD_DECLARE(void, copy_floats, (const float* from, float* to, int64_t n))

}  // namespace userllm
