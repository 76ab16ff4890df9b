#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// `rounds` of independent float32 multiply-adds in registers; returns the number of floating-point operations.
SIMD_DECLARE(double, multiply_adds, (int64_t rounds, float* sink))

}  // namespace userllm
