#include "ops/elementwise/where.simd.h"

namespace userllm {
namespace {

// A mask instead of a branch.
template <class T> inline T pick(uint8_t condition, T a, T b) {
  const T mask = T(-T(condition != 0));
  return T((a & mask) | (b & T(~mask)));
}

template <class T>
void where(const uint8_t* condition, const T* a, const T* b, T* __restrict to, int64_t rows, int64_t width,
           WhereSteps steps) {
  for (; rows > 0; --rows, condition += steps.condition_row, a += steps.a_row, b += steps.b_row, to += width)
    if (steps.condition && steps.a && steps.b)
      for (int64_t i = 0; i < width; ++i) to[i] = pick(condition[i], a[i], b[i]);
    else if (steps.condition && steps.a)
      for (int64_t i = 0; i < width; ++i) to[i] = pick(condition[i], a[i], *b);
    else if (steps.condition && steps.b)
      for (int64_t i = 0; i < width; ++i) to[i] = pick(condition[i], *a, b[i]);
    else
      for (int64_t i = 0; i < width; ++i) to[i] = pick(condition[i * steps.condition], a[i * steps.a], b[i * steps.b]);
}

}  // namespace

SIMD_DEFINE(void, where_1,
            (const uint8_t* condition, const uint8_t* a, const uint8_t* b, uint8_t* to, int64_t rows, int64_t width,
             WhereSteps steps)) {
  where(condition, a, b, to, rows, width, steps);
}
SIMD_DEFINE(void, where_2,
            (const uint8_t* condition, const uint16_t* a, const uint16_t* b, uint16_t* to, int64_t rows, int64_t width,
             WhereSteps steps)) {
  where(condition, a, b, to, rows, width, steps);
}
SIMD_DEFINE(void, where_4,
            (const uint8_t* condition, const uint32_t* a, const uint32_t* b, uint32_t* to, int64_t rows, int64_t width,
             WhereSteps steps)) {
  where(condition, a, b, to, rows, width, steps);
}
SIMD_DEFINE(void, where_8,
            (const uint8_t* condition, const uint64_t* a, const uint64_t* b, uint64_t* to, int64_t rows, int64_t width,
             WhereSteps steps)) {
  where(condition, a, b, to, rows, width, steps);
}

}  // namespace userllm
