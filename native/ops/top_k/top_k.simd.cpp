#include "ops/top_k/top_k.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

template <class T> SIMD_INLINE int64_t find_above(const T* x, int64_t begin, int64_t n, T bound) {
  constexpr int64_t kLane = kLanes<T>;
  int64_t i = begin;
  for (; i + 4 * kLane <= n; i += 4 * kLane) {
    const auto within = (load(x + i) <= bound) & (load(x + i + kLane) <= bound) & (load(x + i + 2 * kLane) <= bound) &
                        (load(x + i + 3 * kLane) <= bound);
    const auto words = (Vec<int64_t>)within;
    int64_t all = -1;
    for (int l = 0; l < kLanes<int64_t>; ++l) all &= words[l];
    if (all != -1) break;
  }
  for (; i + kLane <= n; i += kLane) {
    const auto words = (Vec<int64_t>)(load(x + i) <= bound);
    int64_t all = -1;
    for (int l = 0; l < kLanes<int64_t>; ++l) all &= words[l];
    if (all != -1) break;
  }
  while (i < n && x[i] <= bound) ++i;
  return i;
}

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

SIMD_DEFINE(int64_t, find_above_f32, (const float* x, int64_t begin, int64_t n, float bound)) {
  return find_above(x, begin, n, bound);
}
SIMD_DEFINE(int64_t, find_above_f64, (const double* x, int64_t begin, int64_t n, double bound)) {
  return find_above(x, begin, n, bound);
}
SIMD_DEFINE(void, argmax_columns_f32, (const float* x, int32_t* best, int64_t rows, int64_t stride, int64_t width)) {
  argmax_columns(x, best, rows, stride, width);
}
SIMD_DEFINE(void, argmax_columns_f64, (const double* x, int32_t* best, int64_t rows, int64_t stride, int64_t width)) {
  argmax_columns(x, best, rows, stride, width);
}

}  // namespace userllm
