// Random words in bulk. Only for `*.simd.cpp` files (see simd.h).
#pragma once
#include "core/random.h"

namespace userllm {
namespace {

// Blocks that are computed side by side, and words that they give.
constexpr int kPhiloxBlocks = 32;
constexpr int kPhiloxWords = 4 * kPhiloxBlocks;

// words[4 * i + w] = word w of block `first` + i. Plain loops over lanes, which the compiler turns into vectors.
template <int kBlocks = kPhiloxBlocks>
static inline void philox_words(uint64_t first, uint64_t call, uint64_t key, uint32_t* words) {
  uint32_t c0[kBlocks], c1[kBlocks], c2[kBlocks], c3[kBlocks];
  uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
  for (int i = 0; i < kBlocks; ++i) {
    c0[i] = uint32_t(first + uint64_t(i));
    c1[i] = uint32_t((first + uint64_t(i)) >> 32);
    c2[i] = uint32_t(call);
    c3[i] = uint32_t(call >> 32);
  }
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < kBlocks; ++i) {
      const uint64_t p0 = uint64_t(kPhiloxMultiplier0) * c0[i], p1 = uint64_t(kPhiloxMultiplier1) * c2[i];
      c0[i] = uint32_t(p1 >> 32) ^ c1[i] ^ k0;
      c1[i] = uint32_t(p1);
      c2[i] = uint32_t(p0 >> 32) ^ c3[i] ^ k1;
      c3[i] = uint32_t(p0);
    }
    k0 += kPhiloxWeyl0;
    k1 += kPhiloxWeyl1;
  }
  for (int i = 0; i < kBlocks; ++i) {
    words[4 * i] = c0[i];
    words[4 * i + 1] = c1[i];
    words[4 * i + 2] = c2[i];
    words[4 * i + 3] = c3[i];
  }
}

}  // namespace
}  // namespace userllm
