#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// One step's numbers for one tensor.
struct LionNumbers {
  double gradient_factor, keep;  // keep = 1 - learning rate * weight decay
  double learning_rate, beta1, beta2;
};

SIMD_DECLARE(void, lion_f32,
             (float* parameter, const float* gradient, float* momentum, int64_t n, const LionNumbers* numbers))
SIMD_DECLARE(void, lion_f64,
             (double* parameter, const double* gradient, double* momentum, int64_t n, const LionNumbers* numbers))

}  // namespace userllm
