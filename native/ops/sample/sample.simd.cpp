#include "ops/sample/sample.simd.h"

#include "devices/cpu/log_sum_exp.simd.h"

namespace userllm {
namespace {

template <class T> SIMD_INLINE void maxima(const T* x, int64_t n, T* maxima) {
  for (int64_t i = 0; i < n; i += kMaximumPiece)
    *maxima++ = max_of_row(x + i, n - i < kMaximumPiece ? n - i : kMaximumPiece);
}

template <class T>
SIMD_INLINE double weights_of(const T* x, int64_t n, T max, T temperature, T* weights, double* sums) {
  double total = 0;
  for (int64_t at = 0; at < n; at += kWeightPiece) {
    Vec<T> sum = {};
    for_vectors<T>(n - at < kWeightPiece ? n - at : kWeightPiece, [&](int64_t i, int64_t lanes) {
      const Vec<T> w = exp_of((load_lanes(x + at + i, lanes, T(-kInfinity)) - max) / temperature);
      store_lanes(weights + at + i, w, lanes);
      sum += w;
    });
    total += * sums++ = double(reduce_add(sum));
  }
  return total;
}

template <class T> SIMD_INLINE int64_t find_at_least(const T* x, int64_t n, T bound, int32_t* positions) {
  int64_t found = 0, i = 0;
  const auto step = [&](int64_t end) {
    for (; i < end; ++i) {
      positions[found] = int32_t(i);
      found += x[i] >= bound;
    }
  };
  // Most vectors have none.
  for (; i + 2 * kLanes<T> <= n;) {
    const auto any = (Vec<int64_t>)((load(x + i) >= bound) | (load(x + i + kLanes<T>) >= bound));
    int64_t some = 0;
    for (int l = 0; l < kLanes<int64_t>; ++l) some |= any[l];
    if (some)
      step(i + 2 * kLanes<T>);
    else
      i += 2 * kLanes<T>;
  }
  step(n);
  return found;
}

}  // namespace

SIMD_DEFINE(float, maximum_f32, (const float* x, int64_t n)) { return max_of_row(x, n); }
SIMD_DEFINE(double, maximum_f64, (const double* x, int64_t n)) { return max_of_row(x, n); }
SIMD_DEFINE(void, maxima_f32, (const float* x, int64_t n, float* of)) { maxima(x, n, of); }
SIMD_DEFINE(void, maxima_f64, (const double* x, int64_t n, double* of)) { maxima(x, n, of); }
SIMD_DEFINE(double, sample_weights_f32,
            (const float* x, int64_t n, float max, float temperature, float* weights, double* sums)) {
  return weights_of(x, n, max, temperature, weights, sums);
}
SIMD_DEFINE(double, sample_weights_f64,
            (const double* x, int64_t n, double max, double temperature, double* weights, double* sums)) {
  return weights_of(x, n, max, temperature, weights, sums);
}
SIMD_DEFINE(int64_t, find_at_least_f32, (const float* x, int64_t n, float bound, int32_t* positions)) {
  return find_at_least(x, n, bound, positions);
}
SIMD_DEFINE(int64_t, find_at_least_f64, (const double* x, int64_t n, double bound, int32_t* positions)) {
  return find_at_least(x, n, bound, positions);
}

}  // namespace userllm
