#include "ops/adafactor/adafactor.simd.h"

#include "devices/cpu/sum_of_squares.simd.h"
#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

constexpr int64_t kGroup = 4;  // rows that are passed over together: as many chains of additions
template <class T> constexpr int64_t kChunk = 64 * kLanes<T>;  // elements of one row before a sum moves to double

SIMD_INLINE float root(float x) { return __builtin_sqrtf(x); }
SIMD_INLINE double root(double x) { return __builtin_sqrt(x); }

SIMD_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// The squares of y = x * scale[row] * column factor, of R rows. Adds them to sums[row], and to column_sums, which it
// begins if it is told to; either may be null: no factors, no column sums.
template <int R, class T>
SIMD_INLINE void add_squares(const T* x, int64_t width, const T* scale, const T* column_factors, T* column_sums,
                             bool begin, double* sums) {
  for (int64_t from = 0; from < width; from += kChunk<T>) {
    Vec<T> sum[R] = {};
    for_vectors<T>(least(width - from, kChunk<T>), [&](int64_t i, int64_t lanes) {
      const int64_t at = from + i;
      Vec<T> column = {};
      if (column_sums && !begin) column = load_lanes(column_sums + at, lanes);
      for (int r = 0; r < R; ++r) {
        Vec<T> y = load_lanes(x + r * width + at, lanes) * scale[r];
        if (column_factors) y *= load_lanes(column_factors + at, lanes);
        sum[r] += y * y;
        column += y * y;
      }
      if (column_sums) store_lanes(column_sums + at, column, lanes);
    });
    for (int r = 0; r < R; ++r) sums[r] += double(reduce_add(sum[r]));
  }
}

template <class T>
double squares(const T* gradient, int64_t rows, int64_t width, const AdafactorMean& mean, T* row_means,
               T* column_sums) {
  const T factor = T(mean.gradient_factor), scale[kGroup] = {factor, factor, factor, factor};
  double total = 0;
  for (int64_t row = 0; row < rows; row += kGroup) {
    const T* const g = gradient + row * width;
    const int64_t count = least(rows - row, kGroup);
    double sums[kGroup] = {};
    if (count == kGroup)
      add_squares<kGroup, T>(g, width, scale, nullptr, column_sums, row == 0, sums);
    else
      for (int64_t r = 0; r < count; ++r)
        add_squares<1, T>(g + r * width, width, scale, nullptr, column_sums, row + r == 0, sums + r);
    for (int64_t r = 0; r < count; ++r) {
      T& kept = row_means[row + r];
      kept = T(double(kept) * mean.keep + (sums[r] / double(width) + mean.eps) * (1 - mean.keep));
      total += double(kept);
    }
  }
  return total;
}

template <class T>
void columns(T* sums, int64_t blocks, int64_t rows, int64_t width, const AdafactorMean& mean, T* means) {
  for (int64_t from = 0; from < width; from += kChunk<T>) {
    const int64_t count = least(width - from, kChunk<T>);
    double whole[kChunk<T>] = {};
    for (int64_t block = 0; block < blocks; ++block)
      for (int64_t j = 0; j < count; ++j) whole[j] += double(sums[block * width + from + j]);
    for (int64_t j = 0; j < count; ++j) {
      T& kept = means[from + j];
      kept = T(double(kept) * mean.keep + (whole[j] / double(rows) + mean.eps) * (1 - mean.keep));
      sums[from + j] = 1 / root(kept);
    }
  }
}

template <class T> SIMD_INLINE T row_scale(double factor, T mean, double whole) {
  return T(factor * root(whole / double(mean)));
}

template <class T>
double norm(const T* gradient, int64_t rows, int64_t width, double factor, const T* row_means, double whole,
            const T* column_factors) {
  double total = 0;
  for (int64_t row = 0; row < rows; row += kGroup) {
    const T* const g = gradient + row * width;
    const int64_t count = least(rows - row, kGroup);
    double sums[kGroup] = {};
    T scale[kGroup] = {};
    for (int64_t r = 0; r < count; ++r) scale[r] = row_scale(factor, row_means[row + r], whole);
    if (count == kGroup)
      add_squares<kGroup, T>(g, width, scale, column_factors, nullptr, false, sums);
    else
      for (int64_t r = 0; r < count; ++r)
        add_squares<1, T>(g + r * width, width, scale + r, column_factors, nullptr, false, sums + r);
    for (int64_t r = 0; r < count; ++r) total += sums[r];
  }
  return total;
}

template <class T, class Update>
SIMD_INLINE void take(T* __restrict parameter, T* __restrict first, int64_t n, const AdafactorChange& change,
                      const Update& update) {
  const T keep = T(change.keep), rate = T(change.rate), beta1 = T(change.beta1), blend = T(1 - change.beta1);
  if (!first) {
    for (int64_t i = 0; i < n; ++i) parameter[i] = parameter[i] * keep - update(i) * rate;
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const T m = first[i] * beta1 + update(i) * rate * blend;
    first[i] = m;
    parameter[i] = parameter[i] * keep - m;
  }
}

template <class T>
void step(T* parameter, const T* gradient, T* first, int64_t rows, int64_t width, const T* row_means, double whole,
          const T* __restrict column_factors, const AdafactorChange& change) {
  for (int64_t row = 0; row < rows; ++row) {
    const T scale = row_scale(change.gradient_factor, row_means[row], whole);
    const T* __restrict g = gradient + row * width;
    take(parameter + row * width, first ? first + row * width : nullptr, width, change,
         [=](int64_t i) { return g[i] * scale * column_factors[i]; });
  }
}

template <class T> double plain_squares(const T* gradient, int64_t n, const AdafactorMean& mean, T* second) {
  const T factor = T(mean.gradient_factor), keep = T(mean.keep), eps = T(mean.eps), blend = T(1 - mean.keep);
  double total = 0;
  for (int64_t from = 0; from < n; from += kChunk<T>) {
    const int64_t count = least(n - from, kChunk<T>);
    const T* __restrict g = gradient + from;
    T* __restrict v = second + from;
    for (int64_t i = 0; i < count; ++i) v[i] = v[i] * keep + (g[i] * factor * (g[i] * factor) + eps) * blend;
    Vec<T> sum = {};
    for_vectors<T>(count, [&](int64_t i, int64_t lanes) {
      const Vec<T> u = load_lanes(g + i, lanes) * factor / sqrt_of(load_lanes(v + i, lanes, T(1)));
      sum += u * u;
    });
    total += double(reduce_add(sum));
  }
  return total;
}

template <class T>
void plain_step(T* parameter, const T* __restrict gradient, T* first, int64_t n, const T* __restrict second,
                const AdafactorChange& change) {
  const T factor = T(change.gradient_factor);
  take(parameter, first, n, change, [=](int64_t i) { return gradient[i] * factor / root(second[i]); });
}

}  // namespace

SIMD_DEFINE(AdafactorLoops<float>, adafactor_f32, ()) {
  return {squares, columns, norm, step, plain_squares, plain_step, SIMD_NAME(sum_of_squares_f32)};
}
SIMD_DEFINE(AdafactorLoops<double>, adafactor_f64, ()) {
  return {squares, columns, norm, step, plain_squares, plain_step, SIMD_NAME(sum_of_squares_f64)};
}

}  // namespace userllm
