#include "devices/cpu/peak.simd.h"

namespace userllm {
namespace {

#if defined(USER_LLM_ISA_AVX512)
constexpr int kLanes = 16;
#elif defined(USER_LLM_ISA_AVX2)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
typedef float Vector __attribute__((vector_size(kLanes * 4)));
constexpr int kChains = 12;  // hides the latency of two units, and fits sixteen registers

}  // namespace

SIMD_DEFINE(double, multiply_adds, (int64_t rounds, float* sink)) {
  Vector sum[kChains];
  const Vector a = Vector{} + 0.999f, b = Vector{} + 1e-3f;
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) sum[c] = a * float(c);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = sum[c] * a + b;
  }
  Vector total = sum[0];
#pragma GCC unroll 12
  for (int c = 1; c < kChains; ++c) total += sum[c];
  for (int l = 0; l < kLanes; ++l) sink[l] = total[l];
  return 2.0 * kLanes * kChains * double(rounds);
}

SIMD_DEFINE(void, copy_floats, (const float* from, float* to, int64_t n)) {
  for (int64_t i = 0; i + kLanes <= n; i += kLanes) {
    Vector v;
    __builtin_memcpy(&v, from + i, sizeof v);
    __builtin_memcpy(to + i, &v, sizeof v);
  }
}

}  // namespace userllm
