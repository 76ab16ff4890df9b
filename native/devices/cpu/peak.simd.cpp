#include "devices/cpu/peak.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

constexpr int kChains = 12;  // hides the latency of two units, and fits sixteen registers

}  // namespace

SIMD_DEFINE(double, multiply_adds, (int64_t rounds, float* sink)) {
  VecF sum[kChains];
  const VecF a = splat(0.999f), b = splat(1e-3f);
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) sum[c] = a * float(c);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = sum[c] * a + b;
  }
  VecF total = sum[0];
#pragma GCC unroll 12
  for (int c = 1; c < kChains; ++c) total += sum[c];
  for (int l = 0; l < kLanes<float>; ++l) sink[l] = total[l];
  return 2.0 * kLanes<float> * kChains * double(rounds);
}

SIMD_DEFINE(void, copy_floats, (const float* from, float* to, int64_t n)) {
  for (int64_t i = 0; i + kLanes<float> <= n; i += kLanes<float>) store(to + i, load(from + i));
}

}  // namespace userllm
