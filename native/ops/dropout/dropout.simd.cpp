#include "ops/dropout/dropout.simd.h"

#include "devices/cpu/philox.simd.h"

namespace userllm {
namespace {

template <class T>
inline void dropout(const T* x, T* y, int64_t n, uint64_t first, uint64_t call, uint64_t key, uint32_t threshold,
                    T scale) {
  uint32_t words[kPhiloxWords];
  for (int64_t begin = 0; begin < n; begin += kPhiloxWords, first += kPhiloxBlocks) {
    philox_words(first, call, key, words);
    if (n - begin >= kPhiloxWords)
      for (int i = 0; i < kPhiloxWords; ++i) y[begin + i] = words[i] >= threshold ? x[begin + i] * scale : T(0);
    else
      for (int i = 0; i < int(n - begin); ++i) y[begin + i] = words[i] >= threshold ? x[begin + i] * scale : T(0);
  }
}

}  // namespace

SIMD_DEFINE(void, dropout_f32,
            (const float* x, float* y, int64_t n, uint64_t first, uint64_t call, uint64_t key, uint32_t threshold,
             float scale)) {
  dropout(x, y, n, first, call, key, threshold, scale);
}
SIMD_DEFINE(void, dropout_f64,
            (const double* x, double* y, int64_t n, uint64_t first, uint64_t call, uint64_t key, uint32_t threshold,
             double scale)) {
  dropout(x, y, n, first, call, key, threshold, scale);
}

}  // namespace userllm
