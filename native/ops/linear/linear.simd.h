#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// The epilogue of `linear` backward, over `rows` of `width`: `result` = grad · gelu'(preactivation), and its
// column sums into `sums`. Without a preactivation the result is grad itself and is not written; `sums` may
// be null.
SIMD_DECLARE(void, linear_epilogue_backward_f32,
             (const float* grad, const float* preactivation, float* result, float* sums, int64_t rows, int64_t width))
SIMD_DECLARE(void, linear_epilogue_backward_f64,
             (const double* grad, const double* preactivation, double* result, double* sums, int64_t rows,
              int64_t width))

}  // namespace userllm
