#include "ops/elementwise/compare.simd.h"

namespace userllm {
namespace {

template <class T> inline T value_of(T x) { return x; }
inline float value_of(uint16_t bfloat16) { return __builtin_bit_cast(float, uint32_t(bfloat16) << 16); }

template <class T, class Holds>
void over_rows(uint8_t negate, const T* a, const T* b, uint8_t* __restrict to, int64_t rows, int64_t width,
               BinarySteps steps, Holds holds) {
  for (; rows > 0; --rows, a += steps.a_row, b += steps.b_row, to += width)
    if (steps.b == 0)
      for (int64_t i = 0; i < width; ++i) to[i] = uint8_t(holds(value_of(a[i]), value_of(*b))) ^ negate;
    else if (steps.a == 0)
      for (int64_t i = 0; i < width; ++i) to[i] = uint8_t(holds(value_of(*a), value_of(b[i]))) ^ negate;
    else
      for (int64_t i = 0; i < width; ++i) to[i] = uint8_t(holds(value_of(a[i]), value_of(b[i]))) ^ negate;
}

template <class T>
inline void compare(Compare op, uint8_t negate, const T* a, const T* b, uint8_t* to, int64_t rows, int64_t width,
                    BinarySteps steps) {
  switch (op) {
    case Compare::kEqual: return over_rows(negate, a, b, to, rows, width, steps, [](auto x, auto y) { return x == y; });
    case Compare::kLess: return over_rows(negate, a, b, to, rows, width, steps, [](auto x, auto y) { return x < y; });
    case Compare::kLessEqual:
      return over_rows(negate, a, b, to, rows, width, steps, [](auto x, auto y) { return x <= y; });
    default: break;
  }
  if constexpr (sizeof(T) == 1) switch (op) {
      case Compare::kAnd:
        return over_rows(negate, a, b, to, rows, width, steps, [](auto x, auto y) { return (x != 0) & (y != 0); });
      case Compare::kOr:
        return over_rows(negate, a, b, to, rows, width, steps, [](auto x, auto y) { return (x != 0) | (y != 0); });
      default: break;
    }
}

}  // namespace

SIMD_DEFINE(void, compare_f32,
            (Compare op, uint8_t negate, const float* a, const float* b, uint8_t* to, int64_t rows, int64_t width,
             BinarySteps steps)) {
  compare(op, negate, a, b, to, rows, width, steps);
}
SIMD_DEFINE(void, compare_f64,
            (Compare op, uint8_t negate, const double* a, const double* b, uint8_t* to, int64_t rows, int64_t width,
             BinarySteps steps)) {
  compare(op, negate, a, b, to, rows, width, steps);
}
SIMD_DEFINE(void, compare_bf16,
            (Compare op, uint8_t negate, const uint16_t* a, const uint16_t* b, uint8_t* to, int64_t rows, int64_t width,
             BinarySteps steps)) {
  compare(op, negate, a, b, to, rows, width, steps);
}
SIMD_DEFINE(void, compare_i32,
            (Compare op, uint8_t negate, const int32_t* a, const int32_t* b, uint8_t* to, int64_t rows, int64_t width,
             BinarySteps steps)) {
  compare(op, negate, a, b, to, rows, width, steps);
}
SIMD_DEFINE(void, compare_u8,
            (Compare op, uint8_t negate, const uint8_t* a, const uint8_t* b, uint8_t* to, int64_t rows, int64_t width,
             BinarySteps steps)) {
  compare(op, negate, a, b, to, rows, width, steps);
}

}  // namespace userllm
