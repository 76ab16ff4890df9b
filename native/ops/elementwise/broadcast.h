// Broadcasting as NumPy's: shapes are aligned at their last dimension, and a dimension of 1 is repeated.
#pragma once
#include "core/op.h"
#include "devices/cpu/thread_pool.h"

namespace userllm {

// Elements of one task.
constexpr int64_t kElementGrain = 1 << 14;

// `shape` extended to what it and input `i` broadcast to. An absent input is a scalar.
inline Shape broadcast_with(const Infer& c, const Shape& shape, int i) {
  if (!c.in(i)) return shape;
  const Shape& other = c.shape(i);
  Shape result;
  result.rank = std::max(shape.rank, other.rank);
  for (int d = 1; d <= result.rank; ++d) {
    const int64_t x = d <= shape.rank ? shape[-d] : 1, y = d <= other.rank ? other[-d] : 1;
    if (x != y && x != 1 && y != 1)
      c.fail(c.show(i), " does not broadcast with ", to_string(shape), " (", y, " vs ", x, " in dimension ", -d, ")");
    result[-d] = x == 1 ? y : x;
  }
  return result;
}

// The loop nest of an elementwise op over N operands of which some are repeated along some dimensions. Neighbouring
// dimensions that every operand walks alike are merged; what remains has at least two, and along the last one each
// operand steps by 1 or 0.
template <int N>
struct BroadcastLoop {
  Shape shape;
  int64_t steps[N][kMaxRank] = {};

  BroadcastLoop(const Shape& result, const Shape (&operands)[N]) {
    int64_t strides[N], merged[N][kMaxRank];
    int64_t sizes[kMaxRank];
    int rank = 0;  // innermost first
    for (int n = 0; n < N; ++n) strides[n] = 1;
    for (int d = 1; d <= result.rank; ++d) {
      int64_t step[N];
      for (int n = 0; n < N; ++n) {
        const int64_t size = d <= operands[n].rank ? operands[n][-d] : 1;
        step[n] = size == 1 ? 0 : strides[n];
        strides[n] *= size;
      }
      if (result[-d] == 1) continue;
      bool extends = rank > 0;
      for (int n = 0; n < N; ++n) extends = extends && step[n] == merged[n][rank - 1] * sizes[rank - 1];
      if (extends) {
        sizes[rank - 1] *= result[-d];
        continue;
      }
      sizes[rank] = result[-d];
      for (int n = 0; n < N; ++n) merged[n][rank] = step[n];
      ++rank;
    }
    for (int d = rank; d < 2; ++d) shape.push(1);
    for (int d = rank; d-- > 0;) {
      for (int n = 0; n < N; ++n) steps[n][shape.rank] = merged[n][d];
      shape.push(sizes[d]);
    }
  }

  int64_t row_step(int n) const { return steps[n][shape.rank - 2]; }
  int64_t step(int n) const { return steps[n][shape.rank - 1]; }

  // Calls block(at, offsets, rows, width) for blocks that cover the result: it begins at element `at` of the result
  // and at offsets[n] of operand n, and has rows that follow each other in the result.
  template <class Block>
  void run(const Block& block) const {
    const int64_t width = shape[-1], rows = shape[-2];
    parallel_ranges(shape.count(), kElementGrain, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end;) {
        const int64_t row = at / width, column = at % width;
        int64_t offsets[N];
        for (int n = 0; n < N; ++n) offsets[n] = column * step(n);
        for (int64_t d = shape.rank - 2, rest = row; d >= 0; --d) {
          const int64_t index = rest % shape.dims[d];
          rest /= shape.dims[d];
          for (int n = 0; n < N; ++n) offsets[n] += index * steps[n][d];
        }
        const bool whole = column == 0 && end - at >= width;
        const int64_t count = whole ? std::min((end - at) / width, rows - row % rows) : 1;
        const int64_t length = whole ? width : std::min(width - column, end - at);
        block(at, offsets, count, length);
        at += count * length;
      }
    });
  }
};

}  // namespace userllm
