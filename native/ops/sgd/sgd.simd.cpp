#include "ops/sgd/sgd.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

// Momentum as PyTorch's: the learning rate is outside the running sum.
template <class T>
SIMD_INLINE void step(T* __restrict parameter, const T* __restrict gradient, T* __restrict momentum, int64_t n,
                      const SgdNumbers& numbers) {
  const T factor = T(numbers.gradient_factor), learning_rate = T(numbers.learning_rate);
  const T weight_decay = T(numbers.weight_decay), persistence = T(numbers.momentum);
  if (!momentum) {
    for (int64_t i = 0; i < n; ++i)
      parameter[i] -= learning_rate * (gradient[i] * factor + weight_decay * parameter[i]);
    return;
  }
  // The direction is look_ahead * momentum + now * gradient.
  const T look_ahead = numbers.nesterov ? persistence : 1, now = numbers.nesterov ? 1 : 0;
  for (int64_t i = 0; i < n; ++i) {
    const T g = gradient[i] * factor + weight_decay * parameter[i];
    const T m = persistence * momentum[i] + g;
    momentum[i] = m;
    parameter[i] -= learning_rate * (look_ahead * m + now * g);
  }
}

}  // namespace

SIMD_DEFINE(void, sgd_f32,
            (float* parameter, const float* gradient, float* momentum, int64_t n, const SgdNumbers* numbers)) {
  step(parameter, gradient, momentum, n, *numbers);
}
SIMD_DEFINE(void, sgd_f64,
            (double* parameter, const double* gradient, double* momentum, int64_t n, const SgdNumbers* numbers)) {
  step(parameter, gradient, momentum, n, *numbers);
}

}  // namespace userllm
