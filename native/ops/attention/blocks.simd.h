// What the paths of long keys share: rows, and copies of queries and keys. Only for `*.simd.cpp` files (see simd.h).
//
// Scores carry the factor log2 e, which the queries bring along, and powers are those of 2.
#pragma once
#include "devices/cpu/vector.simd.h"
#include "ops/attention/rotary.simd.h"

namespace userllm {
namespace {

constexpr double kLog2E = 1.4426950408889634, kLn2 = 0.6931471805599453;

inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
template <class T> inline int64_t padded(int64_t n) { return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>; }
// Between rows in scratch: an odd number of cache lines, which spreads a column over all sets of the cache.
template <class T> inline int64_t scratch_stride(int64_t width) {
  constexpr int64_t kLine = 64 / int64_t(sizeof(T));
  const int64_t lines = (padded<T>(width) + kLine - 1) / kLine;
  return (lines | 1) * kLine;
}
template <class T> SIMD_INLINE Vec<T> larger(Vec<T> a, Vec<T> b) { return a > b ? a : b; }

// What the products of queries and keys are multiplied with, so that scores are powers of 2, or the argument of tanh.
template <class T> inline T score_factor(const AttentionRules<T>& rules) {
  return rules.soft_cap > 0 ? rules.scale / rules.soft_cap : T(double(rules.scale) * kLog2E);
}

// The natural logarithm of the sum of powers of 2, `sum` times 2^top.
template <class T> inline T log_sum_of(T top, T sum) {
  return sum == 0 ? T(-kInfinity) : T(double(top) * kLn2 + __builtin_log(double(sum)));
}

template <class T> inline void copy_row(const T* from, int64_t width, T* to) {
  for_vectors<T>(width, [&](int64_t i, int64_t lanes) { store(to + i, load_part(from + i, lanes)); });
}

// Keys and values [begin, end) of a head, rotated, `stride` apart, padded with zeros.
template <class T>
inline void copy_keys(const AttentionRules<T>& rules, const AttentionHead<T>& head, int64_t begin, int64_t end, T* keys,
                      T* values, int64_t stride) {
  const int64_t whole = padded<T>(rules.width);
  for (int64_t j = begin; j < end; ++j, keys += stride, values += stride) {
    const int64_t token = head.rows ? head.rows[j] : j;
    const T *key = head.key + token * head.key_stride, *value = head.value + token * head.value_stride;
    if (rules.rotates_keys) {
      rotate<false>(rules, key, j, keys);
      for (int64_t i = rules.width; i < whole; ++i) keys[i] = 0;
    } else {
      copy_row(key, rules.width, keys);
    }
    copy_row(value, rules.width, values);
  }
}

// Row `row` of the heads.
template <class T> struct Row {
  Row(const AttentionHead<T>& h, int64_t group, int64_t row)
      : query(row / group), head(row % group), position(h.first_position + query) {}
  int64_t query, head, position;
};

// The query of a row, rotated, or zeros if it sees nothing: then there may be no rotation for its position.
template <class T>
inline void copy_query(const AttentionRules<T>& rules, const AttentionHead<T>& head, const Row<T>& row, bool sees,
                       T* to) {
  const int64_t whole = padded<T>(rules.width);
  if (sees) rotate<false>(rules, head.query + row.query * head.query_stride + row.head * rules.width, row.position, to);
  for (int64_t i = sees ? rules.width : 0; i < whole; ++i) to[i] = 0;
}

}  // namespace
}  // namespace userllm
