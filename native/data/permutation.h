// A random order of 0 ... count - 1, computed per element: a Feistel network over the next power of two, walked along
// its cycle until it comes back into the range (Black & Rogaway, "Ciphers with arbitrary finite domains", 2002). The
// readable form is src/data/loader/permutation.ts; both give the same numbers, and no version may give others, or runs
// do not resume.
#pragma once
#include <cstdint>

#include "core/random.h"

namespace userllm {

class Permutation {
 public:
  // `count` is at most 2^53.
  Permutation(uint64_t count, uint64_t seed, uint64_t epoch) : count_(count) {
    int bits = 1;
    while ((uint64_t(1) << bits) < count) ++bits;
    right_bits_ = bits / 2;
    left_mask_ = uint32_t((uint64_t(1) << (bits - right_bits_)) - 1);
    right_mask_ = uint32_t((uint64_t(1) << right_bits_) - 1);
    for (int block = 0; block < kRounds / 4; ++block) {
      const Philox words = philox(kStream << 32 | uint64_t(block), epoch, seed);
      for (int i = 0; i < 4; ++i) keys_[4 * block + i] = words.v[i];
    }
  }

  uint64_t operator()(uint64_t index) const {
    do index = scramble(index);
    while (index >= count_);
    return index;
  }

 private:
  static constexpr int kRounds = 12;
  // Apart from what the same seed draws for dropout and initial weights.
  static constexpr uint64_t kStream = 0x6f726465;

  uint64_t scramble(uint64_t value) const {
    uint32_t left = uint32_t(value >> right_bits_), right = uint32_t(value) & right_mask_;
    for (int round = 0; round < kRounds; round += 2) {
      left ^= mix(right + keys_[round]) & left_mask_;
      right ^= mix(left + keys_[round + 1]) & right_mask_;
    }
    return uint64_t(left) << right_bits_ | right;
  }

  // The finalizer of MurmurHash3.
  static uint32_t mix(uint32_t h) {
    h = (h ^ h >> 16) * 0x85ebca6b;
    h = (h ^ h >> 13) * 0xc2b2ae35;
    return h ^ h >> 16;
  }

  uint64_t count_;
  int right_bits_;
  uint32_t left_mask_, right_mask_;
  uint32_t keys_[kRounds];
};

}  // namespace userllm
