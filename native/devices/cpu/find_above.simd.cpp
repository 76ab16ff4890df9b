#include "devices/cpu/find_above.simd.h"

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

}  // namespace

SIMD_DEFINE(int64_t, find_above_f32, (const float* x, int64_t begin, int64_t n, float bound)) {
  return find_above(x, begin, n, bound);
}
SIMD_DEFINE(int64_t, find_above_f64, (const double* x, int64_t begin, int64_t n, double bound)) {
  return find_above(x, begin, n, bound);
}

}  // namespace userllm
