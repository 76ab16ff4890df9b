#include "ops/softmax/softmax.simd.h"

#include "devices/cpu/log_sum_exp.simd.h"

namespace userllm {
namespace {

// A row of kVectors vectors, the last one perhaps not full, that stays in registers.
template <class T, int kVectors> SIMD_INLINE void softmax_short_row(const T* x, T* y, int64_t width) {
  const int64_t rest = width - (kVectors - 1) * kLanes<T>;
  Vec<T> v[kVectors];
  for (int i = 0; i < kVectors - 1; ++i) v[i] = load(x + i * kLanes<T>);
  v[kVectors - 1] = load_lanes(x + (kVectors - 1) * kLanes<T>, rest, T(-kInfinity));
  Vec<T> most = v[0];
  for (int i = 1; i < kVectors; ++i) most = max_of(most, v[i]);
  const T top = reduce_max(most);
  Vec<T> total = {};
  for (int i = 0; i < kVectors; ++i) total += v[i] = exp_of(v[i] - top);
  const T scale = 1 / reduce_add(total);
  for (int i = 0; i < kVectors - 1; ++i) store(y + i * kLanes<T>, v[i] * scale);
  store_lanes(y + (kVectors - 1) * kLanes<T>, v[kVectors - 1] * scale, rest);
}

template <class T, int kVectors> SIMD_INLINE void softmax_short_rows(const T* x, T* y, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; ++r) softmax_short_row<T, kVectors>(x + r * width, y + r * width, width);
}

template <class T> SIMD_INLINE void softmax_row(const T* x, T* y, int64_t width) {
  if (width > kSoftmaxPiece<T>) {  // rather a second exp than a second write of the row
    const MaxAndSum<T> row = max_and_sum_of_row(x, width);
    const T scale = 1 / row.sum;
    for_vectors<T>(width, [&](int64_t i, int64_t lanes) {
      store_lanes(y + i, exp_of(load_lanes(x + i, lanes) - row.max) * scale, lanes);
    });
    return;
  }
  const T top = max_of_row(x, width);
  Vec<T> total = {};
  for_vectors<T>(width, [&](int64_t i, int64_t lanes) {
    const Vec<T> e = exp_of(load_lanes(x + i, lanes, T(-kInfinity)) - top);
    store_lanes(y + i, e, lanes);
    total += e;
  });
  const T scale = 1 / reduce_add(total);
  for_vectors<T>(width, [&](int64_t i, int64_t lanes) { store_lanes(y + i, load_lanes(y + i, lanes) * scale, lanes); });
}

template <class T> SIMD_INLINE void softmax_rows(const T* x, T* y, int64_t rows, int64_t width) {
  switch ((width + kLanes<T> - 1) / kLanes<T>) {
    case 1: return softmax_short_rows<T, 1>(x, y, rows, width);
    case 2: return softmax_short_rows<T, 2>(x, y, rows, width);
    case 3: return softmax_short_rows<T, 3>(x, y, rows, width);
    case 4: return softmax_short_rows<T, 4>(x, y, rows, width);
    default:
      for (int64_t r = 0; r < rows; ++r) softmax_row(x + r * width, y + r * width, width);
  }
}

template <class T> SIMD_INLINE void softmax_backward_row(const T* y, const T* g, T* dx, int64_t width) {
  Vec<T> sum = {};
  for_vectors<T>(width, [&](int64_t i, int64_t lanes) { sum += load_lanes(y + i, lanes) * load_lanes(g + i, lanes); });
  const T dot = reduce_add(sum);
  for_vectors<T>(width, [&](int64_t i, int64_t lanes) {
    store_lanes(dx + i, load_lanes(y + i, lanes) * (load_lanes(g + i, lanes) - dot), lanes);
  });
}

}  // namespace

SIMD_DEFINE(void, softmax_rows_f32, (const float* x, float* y, int64_t rows, int64_t width)) {
  softmax_rows(x, y, rows, width);
}
SIMD_DEFINE(void, softmax_rows_f64, (const double* x, double* y, int64_t rows, int64_t width)) {
  softmax_rows(x, y, rows, width);
}
SIMD_DEFINE(void, softmax_backward_rows_f32, (const float* y, const float* g, float* dx, int64_t rows, int64_t width)) {
  for (int64_t r = 0; r < rows; ++r) softmax_backward_row(y + r * width, g + r * width, dx + r * width, width);
}
SIMD_DEFINE(void, softmax_backward_rows_f64,
            (const double* y, const double* g, double* dx, int64_t rows, int64_t width)) {
  for (int64_t r = 0; r < rows; ++r) softmax_backward_row(y + r * width, g + r * width, dx + r * width, width);
}

}  // namespace userllm
