#include "ops/accumulate_weighted/accumulate_weighted.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {

SIMD_DEFINE(void, add_weighted_f32, (float* target, const float* value, int64_t n, double weight)) {
  const float w = float(weight);
  for (int64_t i = 0; i < n; ++i) target[i] += w * value[i];
}
SIMD_DEFINE(void, add_weighted_f64, (double* target, const double* value, int64_t n, double weight)) {
  for (int64_t i = 0; i < n; ++i) target[i] += weight * value[i];
}

SIMD_DEFINE(void, divide_f32, (float* target, int64_t n, double divisor)) {
  const float d = float(divisor);
  for (int64_t i = 0; i < n; ++i) target[i] /= d;
}
SIMD_DEFINE(void, divide_f64, (double* target, int64_t n, double divisor)) {
  for (int64_t i = 0; i < n; ++i) target[i] /= divisor;
}

}  // namespace userllm
