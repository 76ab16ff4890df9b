// Transposition in registers. Only for `*.simd.cpp` files (see simd.h).
#pragma once
#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

// a0 b0 a1 b1 ...: of the lower halves, and of the upper ones.
template <class V> SIMD_INLINE V interleave_low(V a, V b) {
  constexpr int n = int(sizeof(V) / sizeof(a[0]));
#if __has_builtin(__builtin_shufflevector)
  if constexpr (n == 16)
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  else if constexpr (n == 8)
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  else if constexpr (n == 4)
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
  else
    return __builtin_shufflevector(a, b, 0, 2);
#else
  V v;
  for (int i = 0; i < n; ++i) v[i] = i % 2 ? b[i / 2] : a[i / 2];
  return v;
#endif
}
template <class V> SIMD_INLINE V interleave_high(V a, V b) {
  constexpr int n = int(sizeof(V) / sizeof(a[0]));
#if __has_builtin(__builtin_shufflevector)
  if constexpr (n == 16)
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  else if constexpr (n == 8)
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  else if constexpr (n == 4)
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
  else
    return __builtin_shufflevector(a, b, 1, 3);
#else
  V v;
  for (int i = 0; i < n; ++i) v[i] = i % 2 ? b[n / 2 + i / 2] : a[n / 2 + i / 2];
  return v;
#endif
}

// to[column * to_stride + row] = from[row * from_stride + column] for kLanes rows, of which those from `rows` on are
// zero and not read, and `columns` <= kLanes columns. A shuffle of the rows' upper half into the lower one, as of
// cards, moves a bit of the row's number into the column's; after all bits, they have changed places.
template <class T>
static void transpose(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to, int64_t to_stride) {
  constexpr int n = kLanes<T>;
  Vec<T> v[n], shuffled[n];
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) {
    if (i >= rows)
      v[i] = Vec<T>{};
    else
      v[i] = columns == n ? load(from + i * from_stride) : load_part(from + i * from_stride, columns);
  }
#pragma GCC unroll 4
  for (int bit = 1; bit < n; bit *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < n / 2; ++i) {
      shuffled[2 * i] = interleave_low(v[i], v[i + n / 2]);
      shuffled[2 * i + 1] = interleave_high(v[i], v[i + n / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) v[i] = shuffled[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i)
    if (i < columns) store(to + i * to_stride, v[i]);
}

}  // namespace
}  // namespace userllm
