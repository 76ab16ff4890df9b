#include "devices/cpu/find_above.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

// A bit for each lane of x that is above `bound` or NaN, or, where that takes longer, for all of them.
template <class T> SIMD_INLINE uint32_t above(const T* x, Vec<T> bound) {
#if defined(USER_LLM_ISA_AVX512)
  if constexpr (sizeof(T) == 4)
    return _mm512_cmp_ps_mask((__m512)load(x), (__m512)bound, _CMP_NLE_UQ);
  else
    return _mm512_cmp_pd_mask((__m512d)load(x), (__m512d)bound, _CMP_NLE_UQ);
#elif defined(USER_LLM_ISA_AVX2)
  if constexpr (sizeof(T) == 4)
    return uint32_t(_mm256_movemask_ps(_mm256_cmp_ps((__m256)load(x), (__m256)bound, _CMP_NLE_UQ)));
  else
    return uint32_t(_mm256_movemask_pd(_mm256_cmp_pd((__m256d)load(x), (__m256d)bound, _CMP_NLE_UQ)));
#else
  const auto words = (Vec<int64_t>)(load(x) <= bound);
  int64_t all = -1;
  for (int l = 0; l < kLanes<int64_t>; ++l) all &= words[l];
  return all == -1 ? 0 : (1u << kLanes<T>)-1;
#endif
}

template <class T> SIMD_INLINE int64_t find_above(const T* x, int64_t begin, int64_t n, T bound) {
  constexpr int64_t kLane = kLanes<T>;
  const Vec<T> bounds = splat(bound);
  int64_t i = begin;
  for (; i + 4 * kLane <= n; i += 4 * kLane)
    if (above(x + i, bounds) | above(x + i + kLane, bounds) | above(x + i + 2 * kLane, bounds) |
        above(x + i + 3 * kLane, bounds))
      break;
  for (; i + kLane <= n; i += kLane) {
    const uint32_t found = above(x + i, bounds);
    if (!found) continue;
    i += __builtin_ctz(found);
    break;
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
