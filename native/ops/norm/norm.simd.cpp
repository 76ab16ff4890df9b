#include "ops/norm/norm.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

// Deviations are taken from a first estimate of the mean, and their own mean then corrects it: no cancellation when
// the mean is large against the deviation.
template <class T> struct Statistics { T estimate = 0, correction = 0, rstd; };

template <class T, bool kCentered> SIMD_INLINE Statistics<T> statistics_of(const T* x, int64_t width, T epsilon) {
  Statistics<T> row;
  const T share = width ? 1 / T(width) : 0;
  if (kCentered) {
    Vec<T> sum = {};
    for_vectors<T>(width, [&](int64_t i, int64_t lanes) { sum += load_lanes(x + i, lanes); });
    row.estimate = reduce_add(sum) * share;
  }
  Vec<T> deviations = {}, squares = {};
  for_vectors<T>(width, [&](int64_t i, int64_t lanes) {
    const Vec<T> d = load_lanes(x + i, lanes, row.estimate) - row.estimate;
    if (kCentered) deviations += d;
    squares += d * d;
  });
  if (kCentered) row.correction = reduce_add(deviations) * share;
  const T variance = reduce_add(squares) * share - row.correction * row.correction;
  row.rstd = 1 / T(__builtin_sqrt((variance < 0 ? 0 : variance) + epsilon));
  return row;
}

template <class T, bool kCentered> SIMD_INLINE void forward(const NormRows<T>& c) {
  for (int64_t r = 0; r < c.rows; ++r) {
    const int64_t at = r * c.width;
    const T* x = c.x + at;
    T* y = c.result + at;
    if (c.residual) {
      for_vectors<T>(c.width, [&](int64_t i, int64_t lanes) {
        store_lanes(c.sum + at + i, load_lanes(x + i, lanes) + load_lanes(c.residual + at + i, lanes), lanes);
      });
      x = c.sum + at;
    }
    const Statistics<T> row = statistics_of<T, kCentered>(x, c.width, c.epsilon);
    if (c.mean) c.mean[r] = row.estimate + row.correction;
    if (c.rstd) c.rstd[r] = row.rstd;
    for_vectors<T>(c.width, [&](int64_t i, int64_t lanes) {
      Vec<T> v = load_lanes(x + i, lanes);
      if (kCentered) v = (v - row.estimate) - row.correction;
      v *= row.rstd;
      if (c.weight) v *= load_lanes(c.weight + i, lanes) + c.weight_offset;
      if (c.bias) v += load_lanes(c.bias + i, lanes);
      store_lanes(y + i, v, lanes);
    });
  }
}

// With n = normalised x, from the same corrected deviations, and h = grad · (weight_offset + weight):
//     x_grad = rstd (h - mean(h) - n · mean(h · n)),  weight_grad = Σ grad · n,  bias_grad = Σ grad
template <class T, bool kCentered> SIMD_INLINE void backward(const NormBackwardRows<T>& c) {
  const T share = c.width ? 1 / T(c.width) : 0;
  T* const all_sums[] = {c.weight_sums, c.bias_sums};
  for (T* sums : all_sums)
    if (sums) for_vectors<T>(c.width, [&](int64_t i, int64_t lanes) { store_lanes(sums + i, Vec<T>{}, lanes); });
  for (int64_t r = 0; r < c.rows; ++r) {
    const int64_t at = r * c.width;
    const T *x = c.x + at, *grad = c.grad + at, rstd = c.rstd[r], mean = kCentered ? c.mean[r] : 0;
    T correction = 0;
    if (kCentered) {
      Vec<T> deviations = {};
      for_vectors<T>(c.width, [&](int64_t i, int64_t lanes) { deviations += load_lanes(x + i, lanes, mean) - mean; });
      correction = reduce_add(deviations) * share;
    }
    const auto normalised = [&](int64_t i, int64_t lanes) {
      const Vec<T> d = load_lanes(x + i, lanes, mean);
      return (kCentered ? (d - mean) - correction : d) * rstd;
    };
    Vec<T> h_sum = {}, hn_sum = {};
    for_vectors<T>(c.width, [&](int64_t i, int64_t lanes) {
      const Vec<T> g = load_lanes(grad + i, lanes);
      const Vec<T> n = normalised(i, lanes);
      const Vec<T> h = c.weight ? g * (load_lanes(c.weight + i, lanes) + c.weight_offset) : g;
      if (kCentered) h_sum += h;
      hn_sum += h * n;
      if (c.weight_sums) store_lanes(c.weight_sums + i, load_lanes(c.weight_sums + i, lanes) + g * n, lanes);
      if (c.bias_sums) store_lanes(c.bias_sums + i, load_lanes(c.bias_sums + i, lanes) + g, lanes);
    });
    if (!c.x_grad) continue;
    const T h_mean = kCentered ? reduce_add(h_sum) * share : 0, hn_mean = reduce_add(hn_sum) * share;
    for_vectors<T>(c.width, [&](int64_t i, int64_t lanes) {
      const Vec<T> g = load_lanes(grad + i, lanes);
      const Vec<T> n = normalised(i, lanes);
      const Vec<T> h = c.weight ? g * (load_lanes(c.weight + i, lanes) + c.weight_offset) : g;
      Vec<T> dx = rstd * (h - h_mean - n * hn_mean);
      if (c.sum_grad) dx += load_lanes(c.sum_grad + at + i, lanes);
      store_lanes(c.x_grad + at + i, dx, lanes);
    });
  }
}

}  // namespace

SIMD_DEFINE(void, layer_norm_f32, (const NormRows<float>& rows)) { forward<float, true>(rows); }
SIMD_DEFINE(void, layer_norm_f64, (const NormRows<double>& rows)) { forward<double, true>(rows); }
SIMD_DEFINE(void, rms_norm_f32, (const NormRows<float>& rows)) { forward<float, false>(rows); }
SIMD_DEFINE(void, rms_norm_f64, (const NormRows<double>& rows)) { forward<double, false>(rows); }
SIMD_DEFINE(void, layer_norm_backward_f32, (const NormBackwardRows<float>& rows)) { backward<float, true>(rows); }
SIMD_DEFINE(void, layer_norm_backward_f64, (const NormBackwardRows<double>& rows)) { backward<double, true>(rows); }
SIMD_DEFINE(void, rms_norm_backward_f32, (const NormBackwardRows<float>& rows)) { backward<float, false>(rows); }
SIMD_DEFINE(void, rms_norm_backward_f64, (const NormBackwardRows<double>& rows)) { backward<double, false>(rows); }

}  // namespace userllm
