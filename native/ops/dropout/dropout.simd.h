#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// y[i] = scale * x[i] where random word i is at least `threshold`, else 0. The words start with Philox block `first`.
SIMD_DECLARE(void, dropout_f32,
             (const float* x, float* y, int64_t n, uint64_t first, uint64_t call, uint64_t key, uint32_t threshold,
              float scale))
SIMD_DECLARE(void, dropout_f64,
             (const double* x, double* y, int64_t n, uint64_t first, uint64_t call, uint64_t key, uint32_t threshold,
              double scale))

}  // namespace userllm
