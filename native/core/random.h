// Philox-4x32-10: counter-based random numbers. The same counter and key give the same numbers on every
// device and thread count. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
//
// Instruction-set units include this file: no STL, internal linkage (see devices/cpu/simd.h).
#pragma once
#include <stdint.h>

namespace userllm {

struct Philox {
  uint32_t v[4];
};

constexpr uint32_t kPhiloxMultiplier0 = 0xD2511F53, kPhiloxMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kPhiloxWeyl0 = 0x9E3779B9, kPhiloxWeyl1 = 0xBB67AE85;

// counter = (element block, call number).
static inline Philox philox(uint64_t block, uint64_t call, uint64_t key) {
  uint32_t c0 = uint32_t(block), c1 = uint32_t(block >> 32), c2 = uint32_t(call), c3 = uint32_t(call >> 32);
  uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t(kPhiloxMultiplier0) * c0, p1 = uint64_t(kPhiloxMultiplier1) * c2;
    c0 = uint32_t(p1 >> 32) ^ c1 ^ k0;
    c1 = uint32_t(p1);
    c2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
    c3 = uint32_t(p0);
    k0 += kPhiloxWeyl0;
    k1 += kPhiloxWeyl1;
  }
  return {{c0, c1, c2, c3}};
}

// The key of a generator's state (seed, low word first; step, low word first): the seed itself in step 0, so that
// steps beyond it, which a replayed recording counts on the device, draw fresh numbers for the same calls.
static inline uint64_t philox_key(const int32_t* state) {
  const uint64_t seed = uint32_t(state[0]) | uint64_t(uint32_t(state[1])) << 32;
  const uint64_t step = uint32_t(state[2]) | uint64_t(uint32_t(state[3])) << 32;
  if (step == 0) return seed;
  const Philox mixed = philox(step, ~uint64_t(0), seed);
  return mixed.v[0] | uint64_t(mixed.v[1]) << 32;
}

// Dropout with probability p keeps what has a random word of at least this.
static inline uint32_t dropout_threshold(double p) {
  const double words = __builtin_nearbyint(p * 4294967296.0);
  return words < 4294967295.0 ? uint32_t(words) : UINT32_MAX;
}

// Uniform in [0, 1): 24 random bits, which a float holds exactly.
static inline float uniform_of(uint32_t bits) { return float(bits >> 8) * (1.0f / 16777216.0f); }

}  // namespace userllm
