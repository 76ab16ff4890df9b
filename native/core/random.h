// Philox-4x32-10: counter-based random numbers. The same counter and key give the same numbers on every
// device and thread count. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once
#include <cstdint>

namespace userllm {

struct Philox {
  uint32_t v[4];
};

// counter = (element block, call number), key = seed.
inline Philox philox(uint64_t block, uint64_t call, uint64_t seed) {
  uint32_t c0 = uint32_t(block), c1 = uint32_t(block >> 32), c2 = uint32_t(call), c3 = uint32_t(call >> 32);
  uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t(0xD2511F53) * c0, p1 = uint64_t(0xCD9E8D57) * c2;
    c0 = uint32_t(p1 >> 32) ^ c1 ^ k0;
    c1 = uint32_t(p1);
    c2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
    c3 = uint32_t(p0);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return {{c0, c1, c2, c3}};
}

// Uniform in (0, 1): 24 random bits, centred, so that neither 0 nor 1 occurs (log(u) is finite).
inline float uniform_of(uint32_t bits) { return (float(bits >> 8) + 0.5f) * (1.0f / 16777216.0f); }

}  // namespace userllm
