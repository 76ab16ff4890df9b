#include "ops/global_norm/global_norm.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

template <class T> SIMD_INLINE void multiply(const T* __restrict x, T* __restrict y, int64_t n, T factor) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * factor;
}

}  // namespace

SIMD_DEFINE(void, multiply_f32, (const float* x, float* y, int64_t n, double factor)) {
  multiply(x, y, n, float(factor));
}
SIMD_DEFINE(void, multiply_f64, (const double* x, double* y, int64_t n, double factor)) { multiply(x, y, n, factor); }

}  // namespace userllm
