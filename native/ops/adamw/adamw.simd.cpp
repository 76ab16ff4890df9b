#include "ops/adamw/adamw.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

SIMD_INLINE float root(float x) { return __builtin_sqrtf(x); }
SIMD_INLINE double root(double x) { return __builtin_sqrt(x); }

// Loshchilov and Hutter, "Decoupled Weight Decay Regularization", arXiv:1711.05101; order of operations as
// PyTorch's.
template <class T>
SIMD_INLINE void step(T* __restrict parameter, const T* __restrict gradient, T* __restrict first, T* __restrict second,
                      int64_t n, const AdamWNumbers& numbers) {
  const T factor = T(numbers.gradient_factor), keep = T(numbers.keep), eps = T(numbers.eps);
  const T blend1 = T(1 - numbers.beta1), beta2 = T(numbers.beta2), blend2 = T(1 - numbers.beta2);
  const T step_size = T(numbers.step_size), root_scale = T(numbers.root_scale);
  for (int64_t i = 0; i < n; ++i) {
    const T g = gradient[i] * factor;
    const T m = first[i] + blend1 * (g - first[i]);
    const T v = second[i] * beta2 + blend2 * g * g;
    first[i] = m;
    second[i] = v;
    parameter[i] = parameter[i] * keep - step_size * (m / (root(v) * root_scale + eps));
  }
}

}  // namespace

SIMD_DEFINE(void, adamw_f32,
            (float* parameter, const float* gradient, float* first, float* second, int64_t n,
             const AdamWNumbers* numbers)) {
  step(parameter, gradient, first, second, n, *numbers);
}
SIMD_DEFINE(void, adamw_f64,
            (double* parameter, const double* gradient, double* first, double* second, int64_t n,
             const AdamWNumbers* numbers)) {
  step(parameter, gradient, first, second, n, *numbers);
}

}  // namespace userllm
