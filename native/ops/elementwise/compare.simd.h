#pragma once
#include "devices/cpu/simd.h"
#include "ops/elementwise/binary.simd.h"

namespace userllm {

enum class Compare : int { kEqual, kLess, kLessEqual, kAnd, kOr };

// to = the comparison as 0 or 1, turned round where `negate` is 1. bfloat16 is given as its bits.
SIMD_DECLARE(void, compare_f32,
             (Compare op, uint8_t negate, const float* a, const float* b, uint8_t* to, int64_t rows, int64_t width,
              BinarySteps steps))
SIMD_DECLARE(void, compare_f64,
             (Compare op, uint8_t negate, const double* a, const double* b, uint8_t* to, int64_t rows, int64_t width,
              BinarySteps steps))
SIMD_DECLARE(void, compare_bf16,
             (Compare op, uint8_t negate, const uint16_t* a, const uint16_t* b, uint8_t* to, int64_t rows,
              int64_t width, BinarySteps steps))
SIMD_DECLARE(void, compare_i32,
             (Compare op, uint8_t negate, const int32_t* a, const int32_t* b, uint8_t* to, int64_t rows, int64_t width,
              BinarySteps steps))
SIMD_DECLARE(void, compare_u8,
             (Compare op, uint8_t negate, const uint8_t* a, const uint8_t* b, uint8_t* to, int64_t rows, int64_t width,
              BinarySteps steps))

}  // namespace userllm
