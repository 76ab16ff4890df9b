#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// One step's numbers for one tensor.
struct SgdNumbers {
  double gradient_factor, learning_rate, weight_decay, momentum;
  bool nesterov;
};

// `momentum` is null for plain descent.
SIMD_DECLARE(void, sgd_f32,
             (float* parameter, const float* gradient, float* momentum, int64_t n, const SgdNumbers* numbers))
SIMD_DECLARE(void, sgd_f64,
             (double* parameter, const double* gradient, double* momentum, int64_t n, const SgdNumbers* numbers))

}  // namespace userllm
