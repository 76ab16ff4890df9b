// Sums over the rows of a matrix that do not depend on the number of threads: each block of rows has its own
// partial sums, and the blocks are added in order.
#pragma once
#include <algorithm>
#include <cstdint>

#include "devices/cpu/thread_pool.h"

namespace userllm {

struct RowBlocks {
  int64_t rows, width;
  int64_t block;  // rows of one block

  // At most 64 blocks, so that partial sums stay small against the matrix, of at least 16,384 elements.
  RowBlocks(int64_t rows_, int64_t width_)
      : rows(rows_), width(width_), block(std::max((rows_ + 63) / 64, 16384 / (width_ + 1) + 1)) {}

  int64_t count() const { return (rows + block - 1) / block; }

  // body(begin, end, index of the block)
  template <class Body> void each(const Body& body) const {
    parallel_ranges(rows, block, [&](int64_t begin, int64_t end) { body(begin, end, begin / block); });
  }

  // partials[count(), width] -> sums[width]
  template <class T> void add_up(const T* partials, T* sums) const {
    parallel_ranges(width, 1024, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sums[i] = 0;
      for (int64_t b = 0; b < count(); ++b)
        for (int64_t i = begin; i < end; ++i) sums[i] += partials[b * width + i];
    });
  }
};

}  // namespace userllm
