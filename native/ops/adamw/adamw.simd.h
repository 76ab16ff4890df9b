#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// One step's numbers for one tensor.
struct AdamWNumbers {
  double gradient_factor, keep;  // keep = 1 - learning rate * weight decay
  double beta1, beta2, eps;
  double step_size, root_scale;  // learning rate / correction 1, 1 / sqrt(correction 2)
};

SIMD_DECLARE(void, adamw_f32,
             (float* parameter, const float* gradient, float* first, float* second, int64_t n,
              const AdamWNumbers* numbers))
SIMD_DECLARE(void, adamw_f64,
             (double* parameter, const double* gradient, double* first, double* second, int64_t n,
              const AdamWNumbers* numbers))

}  // namespace userllm
