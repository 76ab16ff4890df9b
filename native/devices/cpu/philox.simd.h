// Random words in bulk. Only for `*.simd.cpp` files (see simd.h).
#pragma once
#include "core/random.h"
#include "devices/cpu/transpose.simd.h"
#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

// Blocks that are computed side by side, and words that they give.
constexpr int kPhiloxBlocks = 32;
constexpr int kPhiloxWords = 4 * kPhiloxBlocks;

using VecU = Vec<uint32_t>;

// The products of lanes with an even number, of which the instructions have 64 bits.
SIMD_INLINE Vec<uint64_t> multiply_even(Vec<uint64_t> x, uint32_t by) {
#if defined(USER_LLM_ISA_AVX512)
  return (Vec<uint64_t>)_mm512_maskz_mul_epu32(0xff, (__m512i)x, _mm512_set1_epi32(int(by)));
#elif defined(USER_LLM_ISA_AVX2)
  return (Vec<uint64_t>)_mm256_mul_epu32((__m256i)x, _mm256_set1_epi32(int(by)));
#else
  return (x & 0xffffffffu) * by;
#endif
}

// The lower halves of the products, and in `high` the upper ones.
SIMD_INLINE VecU multiply_wide(VecU x, uint32_t by, VecU& high) {
  const Vec<uint64_t> even = multiply_even((Vec<uint64_t>)x, by), odd = multiply_even((Vec<uint64_t>)x >> 32, by);
  const Vec<uint64_t> upper = splat(uint64_t(0xffffffff) << 32);
  high = (VecU)(even >> 32 | (odd & upper));
  return (VecU)((even & ~upper) | odd << 32);
}

// Counters to random words, in place: a lane is a block.
SIMD_INLINE void philox_rounds(uint64_t key, VecU (&c)[4]) {
  uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
  for (int round = 0; round < 10; ++round, k0 += kPhiloxWeyl0, k1 += kPhiloxWeyl1) {
    VecU high0, high1;
    const VecU low0 = multiply_wide(c[0], kPhiloxMultiplier0, high0);
    const VecU low1 = multiply_wide(c[2], kPhiloxMultiplier1, high1);
    c[0] = high1 ^ c[1] ^ k0;
    c[1] = low1;
    c[2] = high0 ^ c[3] ^ k1;
    c[3] = low0;
  }
}

// words[4 * i + w] = word w of block `first` + i.
template <int kBlocks = kPhiloxBlocks>
static inline void philox_words(uint64_t first, uint64_t call, uint64_t key, uint32_t* words) {
  constexpr int kSide = kLanes<uint32_t>;
  for (int begin = 0; begin < kBlocks; begin += kSide) {
    VecU low = {}, high = {};
    for (int i = 0; i < kSide; ++i) {
      const uint64_t block = first + uint64_t(begin + i);
      low[i] = uint32_t(block), high[i] = uint32_t(block >> 32);
    }
    VecU c[] = {low, high, splat(uint32_t(call)), splat(uint32_t(call >> 32))};
    philox_rounds(key, c);
    const VecU even[] = {interleave_low(c[0], c[2]), interleave_high(c[0], c[2])};
    const VecU odd[] = {interleave_low(c[1], c[3]), interleave_high(c[1], c[3])};
    const VecU in_order[] = {interleave_low(even[0], odd[0]), interleave_high(even[0], odd[0]),
                             interleave_low(even[1], odd[1]), interleave_high(even[1], odd[1])};
    const int blocks = kBlocks - begin < kSide ? kBlocks - begin : kSide;
    __builtin_memcpy(words + 4 * begin, in_order, size_t(4 * blocks) * sizeof(uint32_t));
  }
}

}  // namespace
}  // namespace userllm
