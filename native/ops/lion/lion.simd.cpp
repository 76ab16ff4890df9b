#include "ops/lion/lion.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

// Chen et al., "Symbolic Discovery of Optimization Algorithms", arXiv:2302.06675, algorithm 2. A NaN has no sign and
// stays a NaN.
template <class T>
SIMD_INLINE void step(T* __restrict parameter, const T* __restrict gradient, T* __restrict momentum, int64_t n,
                      const LionNumbers& numbers) {
  const T factor = T(numbers.gradient_factor), keep = T(numbers.keep), learning_rate = T(numbers.learning_rate);
  const T blend1 = T(1 - numbers.beta1), blend2 = T(1 - numbers.beta2);
  for (int64_t i = 0; i < n; ++i) {
    const T change = gradient[i] * factor - momentum[i];
    const T direction = momentum[i] + blend1 * change;
    const T sign = direction > 0 ? T(1) : direction < 0 ? T(-1) : direction;
    parameter[i] = parameter[i] * keep - learning_rate * sign;
    momentum[i] += blend2 * change;
  }
}

}  // namespace

SIMD_DEFINE(void, lion_f32,
            (float* parameter, const float* gradient, float* momentum, int64_t n, const LionNumbers* numbers)) {
  step(parameter, gradient, momentum, n, *numbers);
}
SIMD_DEFINE(void, lion_f64,
            (double* parameter, const double* gradient, double* momentum, int64_t n, const LionNumbers* numbers)) {
  step(parameter, gradient, momentum, n, *numbers);
}

}  // namespace userllm
