// The mask of dropped probabilities. Only for `*.simd.cpp` files (see simd.h).
#pragma once
#include "devices/cpu/philox.simd.h"
#include "ops/attention/attention.simd.h"

namespace userllm {
namespace {

// What the probabilities of the keys [first, first + count) of a query are multiplied with: 0 or the scale. `first`
// is a multiple of 4; whole groups of kKeys are written.
template <int kKeys, class T>
inline void dropout_factors(const AttentionRules<T>& rules, uint64_t block_of_query, int64_t first, int64_t count,
                            T* factors) {
  static_assert(kKeys % 4 == 0);
  for (int64_t j = 0; j < count; j += kKeys) {
    uint32_t words[kKeys];
    philox_words<kKeys / 4>(block_of_query + uint64_t(first + j) / 4, rules.dropout_call, rules.dropout_key, words);
    for (int i = 0; i < kKeys; ++i) factors[j + i] = words[i] >= rules.dropout_threshold ? rules.dropout_scale : T(0);
  }
}

}  // namespace
}  // namespace userllm
