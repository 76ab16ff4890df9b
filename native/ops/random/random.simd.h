#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// `n` random words from Philox block `first` on.
SIMD_DECLARE(void, random_words, (uint32_t * words, int64_t n, uint64_t first, uint64_t call, uint64_t key))

// `n` standard normal numbers from as many words, n even: Box and Muller's transform in double, two to two.
SIMD_DECLARE(void, normal_numbers, (const uint32_t* words, double* numbers, int64_t n))

}  // namespace userllm
