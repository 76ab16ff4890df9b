#include "ops/cross_entropy/cross_entropy.simd.h"

#include "devices/cpu/log_sum_exp.simd.h"

namespace userllm {
namespace {

template <class T> SIMD_INLINE void log_sum_exp(const T* x, int64_t width, T* max, T* log_sum) {
  const MaxAndSum<T> row = max_and_sum_of_row(x, width);
  *max = row.max;
  *log_sum = T(__builtin_log(double(row.sum)));
}

template <class T> SIMD_INLINE T sum_of_differences(const T* x, T from, int64_t width) {
  Vec<T> sum = {};
  for_vectors<T>(width, [&](int64_t i, int64_t lanes) { sum += load_lanes(x + i, lanes, from) - from; });
  return reduce_add(sum);
}

template <class T> SIMD_INLINE void backward_row(const T* x, T log_sum_exp, T scale, T floor, T* dx, int64_t width) {
  for_vectors<T>(width, [&](int64_t i, int64_t lanes) {
    store_lanes(dx + i, scale * (exp_of(load_lanes(x + i, lanes) - log_sum_exp) - floor), lanes);
  });
}

}  // namespace

SIMD_DEFINE(void, log_sum_exp_f32, (const float* x, int64_t width, float* max, float* log_sum)) {
  log_sum_exp(x, width, max, log_sum);
}
SIMD_DEFINE(void, log_sum_exp_f64, (const double* x, int64_t width, double* max, double* log_sum)) {
  log_sum_exp(x, width, max, log_sum);
}
SIMD_DEFINE(float, sum_of_differences_f32, (const float* x, float from, int64_t width)) {
  return sum_of_differences(x, from, width);
}
SIMD_DEFINE(double, sum_of_differences_f64, (const double* x, double from, int64_t width)) {
  return sum_of_differences(x, from, width);
}
SIMD_DEFINE(void, cross_entropy_backward_row_f32,
            (const float* x, float log_sum_exp, float scale, float floor, float* dx, int64_t width)) {
  backward_row(x, log_sum_exp, scale, floor, dx, width);
}
SIMD_DEFINE(void, cross_entropy_backward_row_f64,
            (const double* x, double log_sum_exp, double scale, double floor, double* dx, int64_t width)) {
  backward_row(x, log_sum_exp, scale, floor, dx, width);
}

}  // namespace userllm
