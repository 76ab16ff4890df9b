#pragma once
#include "devices/cpu/rotary.h"
#include "devices/cpu/simd.h"

namespace userllm {

// y = x[heads, width], each head turned by `turn`, `pairs` cosines and sines.
SIMD_DECLARE(void, turn_heads_f32,
             (RotaryStyle style, const float* turn, int64_t pairs, int64_t heads, int64_t width, const float* x,
              float* y))
SIMD_DECLARE(void, turn_heads_f64,
             (RotaryStyle style, const double* turn, int64_t pairs, int64_t heads, int64_t width, const double* x,
              double* y))

}  // namespace userllm
