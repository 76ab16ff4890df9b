#include "ops/reduce/reduce.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

template <Fold kFold>
constexpr double kIdentity = kFold == Fold::kSum   ? 0
                             : kFold == Fold::kMax ? -__builtin_inf()
                                                   : __builtin_inf();

// One vector or one number; NaN in either makes the result NaN.
template <Fold kFold, class V> SIMD_INLINE V join(V a, V b) {
  if constexpr (kFold == Fold::kSum) return a + b;
  if constexpr (kFold == Fold::kMax) return (a > b) | (a != a) ? a : b;
  if constexpr (kFold == Fold::kMin) return (a < b) | (a != a) ? a : b;
}

template <Fold kFold, class T> SIMD_INLINE double fold_row(const T* x, int64_t n) {
  constexpr int64_t kLane = kLanes<T>;
  constexpr int64_t kBlock = 4 * 64 * kLane;
  constexpr T kStart = T(kIdentity<kFold>);
  if (n < kLane) {
    T result = kStart;
    for (int64_t i = 0; i < n; ++i) result = join<kFold>(result, x[i]);
    return result;
  }
  double total = kIdentity<kFold>;
  for (int64_t block = 0; block < n; block += kBlock) {
    const int64_t end = n - block < kBlock ? n : block + kBlock;
    Vec<T> a = splat(kStart), b = a, c = a, d = a;
    int64_t i = block;
    for (; i + 4 * kLane <= end; i += 4 * kLane) {
      a = join<kFold>(a, load(x + i));
      b = join<kFold>(b, load(x + i + kLane));
      c = join<kFold>(c, load(x + i + 2 * kLane));
      d = join<kFold>(d, load(x + i + 3 * kLane));
    }
    for (; i + kLane <= end; i += kLane) a = join<kFold>(a, load(x + i));
    if (i < end) b = join<kFold>(b, load_part(x + i, end - i, kStart));
    const Vec<T> lanes = join<kFold>(join<kFold>(a, b), join<kFold>(c, d));
    T part = lanes[0];
    for (int l = 1; l < kLane; ++l) part = join<kFold>(part, T(lanes[l]));
    total = join<kFold>(total, double(part));
  }
  return total;
}

template <Fold kFold, class T>
SIMD_INLINE void fold_rows(const T* x, T* y, int64_t rows, int64_t width, double divisor) {
  for (int64_t r = 0; r < rows; ++r) y[r] = T(fold_row<kFold>(x + r * width, width) / divisor);
}

// Four rows at a time: the running result is read and written once for them, and sums are shorter chains.
template <Fold kFold, class T>
SIMD_INLINE void fold_columns(const T* x, T* y, int64_t rows, int64_t stride, int64_t width) {
  constexpr int64_t kLane = kLanes<T>;
  for (int64_t j = 0; j < width; ++j) y[j] = T(kIdentity<kFold>);
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const T *a = x + r * stride, *b = a + stride, *c = b + stride, *d = c + stride;
    int64_t j = 0;
    for (; j + kLane <= width; j += kLane)
      store(y + j, join<kFold>(load(y + j), join<kFold>(join<kFold>(load(a + j), load(b + j)),
                                                        join<kFold>(load(c + j), load(d + j)))));
    for (; j < width; ++j) y[j] = join<kFold>(y[j], join<kFold>(join<kFold>(a[j], b[j]), join<kFold>(c[j], d[j])));
  }
  for (; r < rows; ++r) {
    const T* a = x + r * stride;
    int64_t j = 0;
    for (; j + kLane <= width; j += kLane) store(y + j, join<kFold>(load(y + j), load(a + j)));
    for (; j < width; ++j) y[j] = join<kFold>(y[j], a[j]);
  }
}

}  // namespace

#define FOLD_SWITCH(function, ...)                             \
  switch (fold) {                                              \
    case Fold::kSum: return function<Fold::kSum>(__VA_ARGS__); \
    case Fold::kMax: return function<Fold::kMax>(__VA_ARGS__); \
    case Fold::kMin: return function<Fold::kMin>(__VA_ARGS__); \
  }                                                            \
  __builtin_unreachable();

SIMD_DEFINE(double, fold_f32, (Fold fold, const float* x, int64_t n)){
    FOLD_SWITCH(fold_row, x, n)} SIMD_DEFINE(double, fold_f64, (Fold fold, const double* x, int64_t n)){
    FOLD_SWITCH(fold_row, x, n)} SIMD_DEFINE(void, fold_rows_f32,
                                             (Fold fold, const float* x, float* y, int64_t rows, int64_t width,
                                              double divisor)){
    FOLD_SWITCH(fold_rows, x, y, rows, width, divisor)} SIMD_DEFINE(void, fold_rows_f64,
                                                                    (Fold fold, const double* x, double* y,
                                                                     int64_t rows, int64_t width, double divisor)){
    FOLD_SWITCH(fold_rows, x, y, rows, width, divisor)} SIMD_DEFINE(void, fold_columns_f32,
                                                                    (Fold fold, const float* x, float* y, int64_t rows,
                                                                     int64_t stride, int64_t width)){
    FOLD_SWITCH(fold_columns, x, y, rows, stride, width)} SIMD_DEFINE(void, fold_columns_f64,
                                                                      (Fold fold, const double* x, double* y,
                                                                       int64_t rows, int64_t stride, int64_t width)) {
  FOLD_SWITCH(fold_columns, x, y, rows, stride, width)
}

}  // namespace userllm
