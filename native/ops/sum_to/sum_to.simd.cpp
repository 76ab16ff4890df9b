#include "ops/sum_to/sum_to.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

template <class T> SIMD_INLINE T sum_row(const T* x, int64_t width) {
  constexpr int lanes = kLanes<T>;
  Vec<T> sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * lanes <= width; i += 4 * lanes)
    for (int k = 0; k < 4; ++k) sums[k] += load(x + i + k * lanes);
  for_vectors<T>(width - i, [&](int64_t at, int64_t count) { sums[0] += load_lanes(x + i + at, count); });
  return reduce_add((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// Four rows at a time, so that the sums are read and written once for four additions.
template <class T>
SIMD_INLINE void sum_columns(const T* x, T* __restrict to, int64_t rows, int64_t width, int64_t stride) {
  for (int64_t j = 0; j < width; ++j) to[j] = 0;
  for (; rows >= 4; rows -= 4, x += 4 * stride)
    for (int64_t j = 0; j < width; ++j) to[j] += (x[j] + x[j + stride]) + (x[j + 2 * stride] + x[j + 3 * stride]);
  for (; rows > 0; --rows, x += stride)
    for (int64_t j = 0; j < width; ++j) to[j] += x[j];
}

}  // namespace

SIMD_DEFINE(void, sum_rows_f32, (const float* x, float* to, int64_t rows, int64_t width)) {
  for (int64_t r = 0; r < rows; ++r) to[r] = sum_row(x + r * width, width);
}
SIMD_DEFINE(void, sum_rows_f64, (const double* x, double* to, int64_t rows, int64_t width)) {
  for (int64_t r = 0; r < rows; ++r) to[r] = sum_row(x + r * width, width);
}
SIMD_DEFINE(void, sum_columns_f32, (const float* x, float* to, int64_t rows, int64_t width, int64_t stride)) {
  sum_columns(x, to, rows, width, stride);
}
SIMD_DEFINE(void, sum_columns_f64, (const double* x, double* to, int64_t rows, int64_t width, int64_t stride)) {
  sum_columns(x, to, rows, width, stride);
}

}  // namespace userllm
