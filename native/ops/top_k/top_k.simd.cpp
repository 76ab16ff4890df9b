#include "ops/top_k/top_k.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

template <class T>
SIMD_INLINE void argmax_columns(const T* x, int32_t* best, int64_t rows, int64_t stride, int64_t width) {
  constexpr int64_t kBlock = 128;
  T top[kBlock];
  for (int64_t begin = 0; begin < width; begin += kBlock) {
    const int64_t n = width - begin < kBlock ? width - begin : kBlock;
    for (int64_t j = 0; j < n; ++j) {
      top[j] = x[begin + j];
      best[begin + j] = 0;
    }
    for (int64_t r = 1; r < rows; ++r) {
      const T* row = x + r * stride + begin;
      for (int64_t j = 0; j < n; ++j) {
        const bool better = !(row[j] <= top[j]) & (top[j] == top[j]);
        top[j] = better ? row[j] : top[j];
        best[begin + j] = better ? int32_t(r) : best[begin + j];
      }
    }
  }
}

}  // namespace

SIMD_DEFINE(void, argmax_columns_f32, (const float* x, int32_t* best, int64_t rows, int64_t stride, int64_t width)) {
  argmax_columns(x, best, rows, stride, width);
}
SIMD_DEFINE(void, argmax_columns_f64, (const double* x, int32_t* best, int64_t rows, int64_t stride, int64_t width)) {
  argmax_columns(x, best, rows, stride, width);
}

}  // namespace userllm
