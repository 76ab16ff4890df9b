#include "ops/cache_append/cache_append.simd.h"

#include "devices/cpu/rotary.simd.h"

namespace userllm {
namespace {

template <class T>
inline void turn_heads(RotaryStyle style, const T* turn, int64_t pairs, int64_t heads, int64_t width, const T* x,
                       T* y) {
  for (int64_t h = 0; h < heads; ++h) turn_row<false>(style, turn, pairs, width, x + h * width, y + h * width);
}

}  // namespace

SIMD_DEFINE(void, turn_heads_f32,
            (RotaryStyle style, const float* turn, int64_t pairs, int64_t heads, int64_t width, const float* x,
             float* y)) {
  turn_heads(style, turn, pairs, heads, width, x, y);
}
SIMD_DEFINE(void, turn_heads_f64,
            (RotaryStyle style, const double* turn, int64_t pairs, int64_t heads, int64_t width, const double* x,
             double* y)) {
  turn_heads(style, turn, pairs, heads, width, x, y);
}

}  // namespace userllm
