#include "devices/cpu/optimizer.simd.h"

namespace userllm {

SIMD_DEFINE(void, round_to_bfloat16, (const float* __restrict x, uint16_t* __restrict to, int64_t n)) {
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t u = __builtin_bit_cast(uint32_t, x[i]);
    const uint32_t nan = (u >> 16) | 0x40, rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    to[i] = uint16_t((u & 0x7fffffff) > 0x7f800000 ? nan : rounded);
  }
}

}  // namespace userllm
