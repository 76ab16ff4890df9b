#include "devices/cpu/sum_of_squares.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

typedef float Narrow __attribute__((vector_size(kVectorBytes / 2)));  // as many floats as a vector has doubles

SIMD_INLINE VecD widened(const float* from) {
  Narrow v;
  __builtin_memcpy(&v, from, sizeof v);
  return __builtin_convertvector(v, VecD);
}
SIMD_INLINE VecD widened(const double* from) { return load(from); }

// Four chains of additions, so that none waits for the one before.
template <class T> SIMD_INLINE double sum_of_squares(const T* x, int64_t n) {
  constexpr int64_t lanes = kLanes<double>;
  VecD a = {}, b = {}, c = {}, d = {};
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    const VecD p = widened(x + i), q = widened(x + i + lanes);
    const VecD r = widened(x + i + 2 * lanes), s = widened(x + i + 3 * lanes);
    a += p * p;
    b += q * q;
    c += r * r;
    d += s * s;
  }
  double sum = reduce_add((a + b) + (c + d));
  for (; i < n; ++i) sum += double(x[i]) * double(x[i]);
  return sum;
}

}  // namespace

SIMD_DEFINE(double, sum_of_squares_f32, (const float* x, int64_t n)) { return sum_of_squares(x, n); }
SIMD_DEFINE(double, sum_of_squares_f64, (const double* x, int64_t n)) { return sum_of_squares(x, n); }

}  // namespace userllm
