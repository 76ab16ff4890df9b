#include "ops/linear/linear.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

// d/dx of x/2 (1 + tanh(c (x + 0.044715 x^3))), c = sqrt(2 / pi)
template <class T> SIMD_INLINE Vec<T> gelu_slope(Vec<T> x) {
  const T c = T(0.7978845608028654), cubic = T(0.044715);
  const Vec<T> t = tanh_of(c * (x + cubic * x * x * x));
  return T(0.5) * (1 + t) + T(0.5) * x * (1 - t * t) * c * (1 + 3 * cubic * x * x);
}

template <class T>
SIMD_INLINE void epilogue_backward(const T* grad, const T* preactivation, T* result, T* sums, int64_t rows,
                                   int64_t width) {
  if (sums) for_vectors<T>(width, [&](int64_t i, int64_t lanes) { store_lanes(sums + i, Vec<T>{}, lanes); });
  for (int64_t r = 0; r < rows; ++r, grad += width) {
    if (!preactivation) {
      for_vectors<T>(width, [&](int64_t i, int64_t lanes) {
        store_lanes(sums + i, load_lanes(sums + i, lanes) + load_lanes(grad + i, lanes), lanes);
      });
      continue;
    }
    for_vectors<T>(width, [&](int64_t i, int64_t lanes) {
      const Vec<T> g = load_lanes(grad + i, lanes) * gelu_slope<T>(load_lanes(preactivation + i, lanes));
      if (result) store_lanes(result + i, g, lanes);
      if (sums) store_lanes(sums + i, load_lanes(sums + i, lanes) + g, lanes);
    });
    preactivation += width;
    if (result) result += width;
  }
}

}  // namespace

SIMD_DEFINE(void, linear_epilogue_backward_f32,
            (const float* grad, const float* preactivation, float* result, float* sums, int64_t rows, int64_t width)) {
  epilogue_backward(grad, preactivation, result, sums, rows, width);
}
SIMD_DEFINE(void, linear_epilogue_backward_f64,
            (const double* grad, const double* preactivation, double* result, double* sums, int64_t rows,
             int64_t width)) {
  epilogue_backward(grad, preactivation, result, sums, rows, width);
}

}  // namespace userllm
