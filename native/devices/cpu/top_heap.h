// The best of many candidates, by value and then by index: a heap with the worst of them on top. Most candidates are
// only compared with that one, a vector at a time: of n in random order about k ln(n / k) enter a heap of k.
#pragma once
#include <cmath>
#include <cstdint>

#include "devices/cpu/find_above.simd.h"

namespace userllm {

inline int64_t find_above(const float* x, int64_t begin, int64_t n, float bound) {
  return SIMD_CALL(find_above_f32)(x, begin, n, bound);
}
inline int64_t find_above(const double* x, int64_t begin, int64_t n, double bound) {
  return SIMD_CALL(find_above_f64)(x, begin, n, bound);
}

// Two arrays of one length, which is the caller's.
template <class T> struct TopHeap {
  T* value;
  int32_t* index;

  // The order of the result: NaN is larger than any number, of equal values the lower index comes first, and index -1
  // (nothing) comes last.
  static bool beats(T a, int32_t i, T b, int32_t j) {
    const bool first = uint32_t(i) < uint32_t(j);
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && (!std::isnan(b) || first);
    return a > b || (a == b && first);
  }

  // Puts a candidate into the heap of size n whose place `at` is free.
  void sift(int64_t at, int64_t n, T v, int32_t i) {
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
      if (child + 1 < n && beats(value[child], index[child], value[child + 1], index[child + 1])) ++child;
      if (!beats(v, i, value[child], index[child])) break;
      value[at] = value[child];
      index[at] = index[child];
    }
    value[at] = v;
    index[at] = i;
  }

  // Best first; it is no heap any more.
  void sort(int64_t n) {
    for (int64_t last = n - 1; last > 0; --last) {
      const T v = value[last];
      const int32_t i = index[last];
      value[last] = value[0];
      index[last] = index[0];
      sift(0, last, v, i);
    }
  }
};

}  // namespace userllm
