#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// How condition, a and b move from row to row, and in a row (by 1 or 0).
struct WhereSteps {
  int64_t condition_row, condition, a_row, a, b_row, b;
};

// to = condition ? a : b over elements of 1, 2, 4 or 8 bytes.
SIMD_DECLARE(void, where_1,
             (const uint8_t* condition, const uint8_t* a, const uint8_t* b, uint8_t* to, int64_t rows, int64_t width,
              WhereSteps steps))
SIMD_DECLARE(void, where_2,
             (const uint8_t* condition, const uint16_t* a, const uint16_t* b, uint16_t* to, int64_t rows, int64_t width,
              WhereSteps steps))
SIMD_DECLARE(void, where_4,
             (const uint8_t* condition, const uint32_t* a, const uint32_t* b, uint32_t* to, int64_t rows, int64_t width,
              WhereSteps steps))
SIMD_DECLARE(void, where_8,
             (const uint8_t* condition, const uint64_t* a, const uint64_t* b, uint64_t* to, int64_t rows, int64_t width,
              WhereSteps steps))

}  // namespace userllm
