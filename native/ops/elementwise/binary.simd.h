#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// Name and formula of two numbers. int32 wraps around: `bits` is the unsigned number of an integer.
#define BINARY_OPS_OF_ANY(OP)             \
  OP(add, T(bits(a) + bits(b)))           \
  OP(maximum, (a > b) | (a != a) ? a : b) \
  OP(minimum, (a < b) | (a != a) ? a : b) \
  OP(multiply, T(bits(a) * bits(b)))      \
  OP(subtract, T(bits(a) - bits(b)))

// Those of floating-point numbers only. The last three are derivatives: of maximum (a tie is shared) and of pow by
// its base and by its exponent.
#define BINARY_OPS_OF_FLOATS(OP)                           \
  OP(divide, a / b)                                        \
  OP(pow, power(a, b))                                     \
  OP(maximum_slope, a == b ? T(0.5) : a < b ? T(0) : T(1)) \
  OP(pow_base_slope, b == 0 ? T(0) : b * power(a, b - 1))  \
  OP(pow_exponent_slope, (a == 0) & (b >= 0) ? T(0) : power(a, b) * ln(a))

enum class Binary : int {
#define NAME(name, formula) name,
  BINARY_OPS_OF_ANY(NAME) BINARY_OPS_OF_FLOATS(NAME)
#undef NAME
};

// How the two operands of a block move from row to row, and in a row: by 1, or by 0 (one of them, or both where the
// row has one element).
struct BinarySteps {
  int64_t a_row, a, b_row, b;
};

SIMD_DECLARE(void, binary_f32,
             (Binary op, const float* a, const float* b, float* to, int64_t rows, int64_t width, BinarySteps steps))
SIMD_DECLARE(void, binary_f64,
             (Binary op, const double* a, const double* b, double* to, int64_t rows, int64_t width, BinarySteps steps))
SIMD_DECLARE(void, binary_i32,
             (Binary op, const int32_t* a, const int32_t* b, int32_t* to, int64_t rows, int64_t width,
              BinarySteps steps))

}  // namespace userllm
