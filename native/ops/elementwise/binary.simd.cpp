#include "ops/elementwise/binary.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

SIMD_INLINE float bits(float x) { return x; }
SIMD_INLINE double bits(double x) { return x; }
SIMD_INLINE uint32_t bits(int32_t x) { return uint32_t(x); }
SIMD_INLINE float power(float a, float b) { return __builtin_powf(a, b); }
SIMD_INLINE double power(double a, double b) { return __builtin_pow(a, b); }
SIMD_INLINE float ln(float x) { return __builtin_logf(x); }
SIMD_INLINE double ln(double x) { return __builtin_log(x); }

#define FORMULA(name, formula)                                           \
  struct name##_formula {                                                \
    template <class T> SIMD_INLINE T apply(T a, T b) { return formula; } \
  };
BINARY_OPS_OF_ANY(FORMULA)
BINARY_OPS_OF_FLOATS(FORMULA)
#undef FORMULA

template <class Formula, class T>
void over_rows(const T* a, const T* b, T* __restrict to, int64_t rows, int64_t width, BinarySteps steps) {
  for (; rows > 0; --rows, a += steps.a_row, b += steps.b_row, to += width)
    if (steps.b == 0)
      for (int64_t i = 0; i < width; ++i) to[i] = Formula::apply(a[i], *b);
    else if (steps.a == 0)
      for (int64_t i = 0; i < width; ++i) to[i] = Formula::apply(*a, b[i]);
    else
      for (int64_t i = 0; i < width; ++i) to[i] = Formula::apply(a[i], b[i]);
}

#define CASE(name, formula) \
  case Binary::name: return over_rows<name##_formula>(a, b, to, rows, width, steps);

}  // namespace

SIMD_DEFINE(void, binary_f32,
            (Binary op, const float* a, const float* b, float* to, int64_t rows, int64_t width, BinarySteps steps)) {
  switch (op) { BINARY_OPS_OF_ANY(CASE) BINARY_OPS_OF_FLOATS(CASE) }
}
SIMD_DEFINE(void, binary_f64,
            (Binary op, const double* a, const double* b, double* to, int64_t rows, int64_t width, BinarySteps steps)) {
  switch (op) { BINARY_OPS_OF_ANY(CASE) BINARY_OPS_OF_FLOATS(CASE) }
}
SIMD_DEFINE(void, binary_i32,
            (Binary op, const int32_t* a, const int32_t* b, int32_t* to, int64_t rows, int64_t width,
             BinarySteps steps)) {
  switch (op) {
    BINARY_OPS_OF_ANY(CASE)
    default: return;
  }
}

}  // namespace userllm
