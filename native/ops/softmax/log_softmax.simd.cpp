#include "ops/softmax/log_softmax.simd.h"

#include "devices/cpu/log_sum_exp.simd.h"

namespace userllm {
namespace {

template <class T> SIMD_INLINE void forward(const T* x, T* y, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; ++r, x += width, y += width) {
    const MaxAndSum<T> row = max_and_sum_of_row(x, width);
    const T log_sum = T(__builtin_log(double(row.sum)));
    for_vectors<T>(width, [&](int64_t i, int64_t lanes) {
      store_lanes(y + i, (load_lanes(x + i, lanes) - row.max) - log_sum, lanes);
    });
  }
}

template <class T> SIMD_INLINE void backward(const T* y, const T* g, T* dx, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; ++r, y += width, g += width, dx += width) {
    Vec<T> sum = {};
    for_vectors<T>(width, [&](int64_t i, int64_t lanes) { sum += load_lanes(g + i, lanes); });
    const T total = reduce_add(sum);
    for_vectors<T>(width, [&](int64_t i, int64_t lanes) {
      store_lanes(dx + i, load_lanes(g + i, lanes) - exp_of(load_lanes(y + i, lanes)) * total, lanes);
    });
  }
}

}  // namespace

SIMD_DEFINE(void, log_softmax_rows_f32, (const float* x, float* y, int64_t rows, int64_t width)) {
  forward(x, y, rows, width);
}
SIMD_DEFINE(void, log_softmax_rows_f64, (const double* x, double* y, int64_t rows, int64_t width)) {
  forward(x, y, rows, width);
}
SIMD_DEFINE(void, log_softmax_backward_rows_f32,
            (const float* y, const float* g, float* dx, int64_t rows, int64_t width)) {
  backward(y, g, dx, rows, width);
}
SIMD_DEFINE(void, log_softmax_backward_rows_f64,
            (const double* y, const double* g, double* dx, int64_t rows, int64_t width)) {
  backward(y, g, dx, rows, width);
}

}  // namespace userllm
