#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// The bits of the bfloat16 numbers nearest to `x`, ties to even; a NaN stays one.
SIMD_DECLARE(void, round_to_bfloat16, (const float* x, uint16_t* to, int64_t n))

}  // namespace userllm
