#include "ops/matmul_top_k/matmul_rank.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

template <class T> SIMD_INLINE int64_t count_not_below(const T* x, int64_t n, T bound) {
  decltype(splat(bound) < bound) below = {};  // minus their number, in each lane
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) below += load(x + i) < bound;
  int64_t count = n + reduce_add(below);
  for (; i < n; ++i) count -= x[i] < bound;
  return count;
}

}  // namespace

SIMD_DEFINE(int64_t, count_not_below_f32, (const float* x, int64_t n, float bound)) {
  return count_not_below(x, n, bound);
}
SIMD_DEFINE(int64_t, count_not_below_f64, (const double* x, int64_t n, double bound)) {
  return count_not_below(x, n, bound);
}

}  // namespace userllm
