#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// `n` random words from Philox block `first` on.
SIMD_DECLARE(void, random_words, (uint32_t * words, int64_t n, uint64_t first, uint64_t call, uint64_t key))

}  // namespace userllm
