#include "ops/random/random.simd.h"

#include "devices/cpu/philox.simd.h"

namespace userllm {

SIMD_DEFINE(void, random_words, (uint32_t * words, int64_t n, uint64_t first, uint64_t call, uint64_t key)) {
  int64_t at = 0;
  for (; at + kPhiloxWords <= n; at += kPhiloxWords, first += kPhiloxBlocks) philox_words(first, call, key, words + at);
  if (at == n) return;
  uint32_t rest[kPhiloxWords];
  philox_words(first, call, key, rest);
  for (int64_t i = at; i < n; ++i) words[i] = rest[i - at];
}

}  // namespace userllm
