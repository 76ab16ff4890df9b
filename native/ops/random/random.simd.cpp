#include "ops/random/random.simd.h"

#include "devices/cpu/philox.simd.h"
#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

using VecL = Vec<int64_t>;

// The whole numbers in [0, 2^52) that the lanes hold, as doubles.
SIMD_INLINE VecD to_double(VecL whole) { return (VecD)(whole | 0x4330000000000000) - 4503599627370496.0; }

// Natural logarithm of positive, normal numbers: ln m + e ln 2 with m in [sqrt 1/2, sqrt 2), and
// ln m = 2 artanh((m - 1) / (m + 1)) by its series.
SIMD_INLINE VecD log_by_series(VecD x) {
  const VecL bits = (VecL)x + (0x3ff0000000000000 - 0x3fe6a09e667f3bcd);
  const VecD e = to_double((VecL)((Vec<uint64_t>)bits >> 52)) - 1023.0;
  const VecD m = (VecD)((bits & 0x000fffffffffffff) + 0x3fe6a09e667f3bcd);
  const VecD s = (m - 1.0) / (m + 1.0), z = s * s;
  VecD p = splat(1.0 / 19);
  for (int k = 17; k > 0; k -= 2) p = p * z + 1.0 / k;
  return e * 0.693147180559945309 + 2.0 * s * p;
}

// Cosine and sine of a quarter turn times r, |r| <= 1/2, by their series.
SIMD_INLINE VecD quarter_cos(VecD r) {
  const VecD z = r * r * -2.46740110027233965471;  // (pi / 2)^2
  VecD p = splat(1.0);
  for (int k = 16; k > 0; k -= 2) p = 1.0 + p * z * (1.0 / (k * (k - 1)));
  return p;
}
SIMD_INLINE VecD quarter_sin(VecD r) {
  const VecD z = r * r * -2.46740110027233965471;
  VecD p = splat(1.0);
  for (int k = 17; k > 1; k -= 2) p = 1.0 + p * z * (1.0 / (k * (k - 1)));
  return r * 1.57079632679489661923 * p;
}

}  // namespace

SIMD_DEFINE(void, random_words, (uint32_t * words, int64_t n, uint64_t first, uint64_t call, uint64_t key)) {
  int64_t at = 0;
  for (; at + kPhiloxWords <= n; at += kPhiloxWords, first += kPhiloxBlocks) philox_words(first, call, key, words + at);
  if (at == n) return;
  uint32_t rest[kPhiloxWords];
  philox_words(first, call, key, rest);
  for (int64_t i = at; i < n; ++i) words[i] = rest[i - at];
}

SIMD_DEFINE(void, normal_numbers, (const uint32_t* words, double* numbers, int64_t n)) {
  constexpr int kPairs = kLanes<double>;
  for (int64_t i = 0; i < n; i += 2 * kPairs) {
    const int pairs = n - i < 2 * kPairs ? int(n - i) / 2 : kPairs;
    VecL first = splat(int64_t(0)), second = first;
    for (int l = 0; l < pairs; ++l) {
      first[l] = words[i + 2 * l];
      second[l] = words[i + 2 * l + 1];
    }
    VecD radius = -2.0 * log_by_series((to_double(first) + 0.5) * 0x1p-32);
    for (int l = 0; l < kPairs; ++l) radius[l] = __builtin_sqrt(radius[l]);
    // The angle in quarter turns: a whole number of them, and the rest.
    const VecL quarters = (second + 0x20000000) >> 30;
    const VecD rest = to_double(second) * 0x1p-30 - to_double(quarters);
    const VecD cosine = quarter_cos(rest), sine = quarter_sin(rest);
    const VecL odd = (quarters & 1) != 0;
    const VecD x = radius * (odd ? sine : cosine), y = radius * (odd ? cosine : sine);
    const VecL left = ((quarters + 1) & 2) != 0, below = (quarters & 2) != 0;
    const VecD a = left ? -x : x, b = below ? -y : y;
    for (int l = 0; l < pairs; ++l) {
      numbers[i + 2 * l] = a[l];
      numbers[i + 2 * l + 1] = b[l];
    }
  }
}

}  // namespace userllm
