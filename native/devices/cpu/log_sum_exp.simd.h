// The maximum of a row and the sum of its exponentials, in one pass over memory: the row is read in pieces that fit
// the first-level cache, under a running maximum.
#pragma once
#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

template <class T> struct MaxAndSum {
  T max, sum;  // sum of exp(x - max)
};

template <class T> constexpr int64_t kSoftmaxPiece = 8192 / int64_t(sizeof(T));

template <class T> SIMD_INLINE T max_of_row(const T* x, int64_t n) {
  constexpr int64_t step = 4 * kLanes<T>;
  const Vec<T> none = splat(T(-kInfinity));
  Vec<T> a = none, b = none, c = none, d = none;  // four chains, since one waits for its own latency
  int64_t i = 0;
  for (; i + step <= n; i += step) {
    a = max_of(a, load(x + i));
    b = max_of(b, load(x + i + kLanes<T>));
    c = max_of(c, load(x + i + 2 * kLanes<T>));
    d = max_of(d, load(x + i + 3 * kLanes<T>));
  }
  for_vectors<T>(n - i, [&](int64_t j, int64_t lanes) { a = max_of(a, load_lanes(x + i + j, lanes, T(-kInfinity))); });
  return reduce_max(max_of(max_of(a, b), max_of(c, d)));
}

template <class T> SIMD_INLINE MaxAndSum<T> max_and_sum_of_row(const T* x, int64_t n) {
  MaxAndSum<T> row = {T(-kInfinity), 0};
  for (int64_t at = 0; at < n; at += kSoftmaxPiece<T>) {
    const T* piece = x + at;
    const int64_t length = n - at < kSoftmaxPiece<T> ? n - at : kSoftmaxPiece<T>;
    const T most = max_of_row(piece, length);
    if (most == T(-kInfinity)) continue;  // adds nothing, and -inf - -inf is NaN
    const T top = (most > row.max) | (most != most) ? most : row.max;
    Vec<T> sum = {};
    for_vectors<T>(length,
                   [&](int64_t i, int64_t lanes) { sum += exp_of(load_lanes(piece + i, lanes, T(-kInfinity)) - top); });
    row = {top, row.sum * exp_of(splat(row.max - top))[0] + reduce_add(sum)};
  }
  return row;
}

}  // namespace
}  // namespace userllm
