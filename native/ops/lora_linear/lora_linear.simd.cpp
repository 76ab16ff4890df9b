// The skinny products of low-rank adapters. Each reads its large operand once: what decides the time is memory, so the
// arithmetic is blocked in registers and the rows to come are prefetched.
#include "ops/lora_linear/lora_linear.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

#if defined(USER_LLM_ISA_AVX512)
constexpr int kDownRows = 3, kRanks = 8, kUpRows = 12;
#else
constexpr int kDownRows = 2, kRanks = 4, kUpRows = 4;
#endif
constexpr int64_t kAheadBytes = 4096;  // of rows to come, at least

// Calls body(begin, count) over [0, n) with `count` a constant: kMost, and for the rest halves of it down to 1.
template <int kMost, class Body> SIMD_INLINE void for_blocks(int64_t n, const Body& body, int64_t from = 0);
template <int kCount> struct Count { static constexpr int value = kCount; };
template <int kMost, class Body> SIMD_INLINE void for_blocks(int64_t n, const Body& body, int64_t from) {
  for (; from + kMost <= n; from += kMost) body(from, Count<kMost>{});
  if constexpr (kMost > 1) for_blocks<(kMost == 12 ? 4 : kMost / 2)>(n, body, from);
}

// Calls body(column, lanes of the first vector, lanes of the second) over [0, n); constants when all lanes are used.
template <class T, class Body> SIMD_INLINE void for_vector_pairs(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + 2 * kLanes<T> <= n; i += 2 * kLanes<T>) body(i, kLanes<T>, kLanes<T>);
  if (n - i > kLanes<T>)
    body(i, kLanes<T>, n - i - kLanes<T>);
  else if (n > i)
    body(i, n - i, 0);
}

// ---- down: inner products of kRows rows of x and kCount rows of the weight

template <class T, int kRows, int kCount> SIMD_INLINE void dots(const LoraDown<T>& c, int64_t row, int64_t rank) {
  const T* x = c.x + row * c.x_stride;
  const T* weight = c.weight + rank * c.weight_stride;
  const int64_t row_bytes = kRows * c.x_stride * int64_t(sizeof(T));
  const int64_t ahead = (kAheadBytes / (row_bytes + 1) + 1) * kRows * c.x_stride;
  Vec<T> sum[kRows][kCount] = {};
  for_vectors<T>(c.width, [&](int64_t i, int64_t lanes) {
    const auto part = [&](const T* from) { return lanes == kLanes<T> ? load(from) : load_part(from, lanes); };
    Vec<T> rows[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      rows[r] = part(x + r * c.x_stride + i);
      if (rank == 0) __builtin_prefetch(x + r * c.x_stride + i + ahead);
    }
#pragma GCC unroll 8
    for (int j = 0; j < kCount; ++j) {
      const Vec<T> w = part(weight + j * c.weight_stride + i);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) sum[r][j] += rows[r] * w;
    }
  });
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int j = 0; j < kCount; ++j) c.down[(row + r) * c.down_stride + rank + j] = reduce_add(sum[r][j]);
}

template <class T> SIMD_INLINE void down(const LoraDown<T>& c) {
  const auto ranks = [&](int64_t row, auto rows) {
    for_blocks<kRanks>(c.ranks, [&](int64_t rank, auto count) {
      dots<T, decltype(rows)::value, decltype(count)::value>(c, row, rank);
    });
  };
  for_blocks<kDownRows>(c.rows, ranks);
}

// ---- up: kRows rows and two vectors of the result

template <class T, int kRows>
SIMD_INLINE void up_tile(const LoraUp<T>& c, int64_t row, int64_t column, int64_t lanes0, int64_t lanes1) {
  const auto part = [](const T* from, int64_t lanes) {
    return lanes == kLanes<T> ? load(from) : load_part(from, lanes);
  };
  const int64_t at = row * c.result_stride + column;
  Vec<T> sum[kRows][2] = {};
  if (c.residual)
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      sum[r][0] = part(c.residual + at + r * c.result_stride, lanes0);
      if (lanes1) sum[r][1] = part(c.residual + at + r * c.result_stride + kLanes<T>, lanes1);
    }
  const T* down = c.down + row * c.down_stride;
  const T* up = c.up + column;
  for (int64_t k = 0; k < c.ranks; ++k, up += c.up_stride) {
    const Vec<T> first = part(up, lanes0), second = lanes1 ? part(up + kLanes<T>, lanes1) : Vec<T>{};
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const T factor = down[r * c.down_stride + k];
      sum[r][0] += factor * first;
      sum[r][1] += factor * second;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    store_lanes(c.result + at + r * c.result_stride, sum[r][0], lanes0);
    if (lanes1) store_lanes(c.result + at + r * c.result_stride + kLanes<T>, sum[r][1], lanes1);
  }
}

// Columns by columns: their part of `up` stays in the first-level cache.
template <class T> SIMD_INLINE void up(const LoraUp<T>& c) {
  const auto rows = [&](int64_t column, int64_t lanes0, int64_t lanes1) {
    for_blocks<kUpRows>(
        c.rows, [&](int64_t row, auto count) { up_tile<T, decltype(count)::value>(c, row, column, lanes0, lanes1); });
  };
  for_vector_pairs<T>(c.width, rows);
}

// ---- outer: kCount rows and two vectors of the sums

template <class T, int kCount>
SIMD_INLINE void outer_tile(const LoraOuter<T>& c, int64_t rank, int64_t column, int64_t lanes0, int64_t lanes1) {
  const auto part = [](const T* from, int64_t lanes) {
    return lanes == kLanes<T> ? load(from) : load_part(from, lanes);
  };
  T* sums = c.sums + rank * c.sums_stride + column;
  Vec<T> sum[kCount][2] = {};
#pragma GCC unroll 8
  for (int j = 0; j < kCount; ++j) {
    sum[j][0] = part(sums + j * c.sums_stride, lanes0);
    if (lanes1) sum[j][1] = part(sums + j * c.sums_stride + kLanes<T>, lanes1);
  }
  const T* x = c.x + column;
  const T* down = c.down + rank;
  for (int64_t row = 0; row < c.rows; ++row, x += c.x_stride, down += c.down_stride) {
    const Vec<T> first = part(x, lanes0), second = lanes1 ? part(x + kLanes<T>, lanes1) : Vec<T>{};
    // The columns of this row that come next: the tile before them runs down all rows first.
    __builtin_prefetch(x + 2 * kLanes<T>);
    __builtin_prefetch(x + 3 * kLanes<T>);
#pragma GCC unroll 8
    for (int j = 0; j < kCount; ++j) {
      sum[j][0] += down[j] * first;
      sum[j][1] += down[j] * second;
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < kCount; ++j) {
    store_lanes(sums + j * c.sums_stride, sum[j][0], lanes0);
    if (lanes1) store_lanes(sums + j * c.sums_stride + kLanes<T>, sum[j][1], lanes1);
  }
}

template <class T> SIMD_INLINE void outer(const LoraOuter<T>& c) {
  const auto ranks = [&](int64_t column, int64_t lanes0, int64_t lanes1) {
    for_blocks<kRanks>(c.ranks, [&](int64_t rank, auto count) {
      outer_tile<T, decltype(count)::value>(c, rank, column, lanes0, lanes1);
    });
  };
  for_vector_pairs<T>(c.width, ranks);
}

}  // namespace

SIMD_DEFINE(void, lora_down_f32, (const LoraDown<float>& call)) { down(call); }
SIMD_DEFINE(void, lora_down_f64, (const LoraDown<double>& call)) { down(call); }
SIMD_DEFINE(void, lora_up_f32, (const LoraUp<float>& call)) { up(call); }
SIMD_DEFINE(void, lora_up_f64, (const LoraUp<double>& call)) { up(call); }
SIMD_DEFINE(void, lora_outer_f32, (const LoraOuter<float>& call)) { outer(call); }
SIMD_DEFINE(void, lora_outer_f64, (const LoraOuter<double>& call)) { outer(call); }

}  // namespace userllm
