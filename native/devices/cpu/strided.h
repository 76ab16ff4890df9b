// Positions of a shape, and the copies that data movement is made of.
#pragma once
#include <cstring>

#include "core/shape.h"
#include "devices/cpu/thread_pool.h"

namespace userllm {

// Work of one task of a copy.
constexpr int64_t kCopyGrainBytes = 64 << 10;

// Steps through a shape in row-major order and keeps the offset of an operand with the given strides. Dimensions
// that lie behind each other in memory become one.
struct Walk {
  int rank = 0;
  int64_t sizes[kMaxRank] = {}, strides[kMaxRank] = {}, at[kMaxRank] = {};
  int64_t offset = 0;

  // Appends a dimension, faster than those before.
  void push(int64_t size, int64_t stride) {
    if (size == 1) return;
    if (rank > 0 && strides[rank - 1] == size * stride) {
      sizes[rank - 1] *= size;
      strides[rank - 1] = stride;
    } else {
      append(size, stride);
    }
  }
  // The same without merging: for walks that go in step.
  void append(int64_t size, int64_t stride) {
    sizes[rank] = size;
    strides[rank++] = stride;
  }

  int64_t count() const {
    int64_t n = 1;
    for (int d = 0; d < rank; ++d) n *= sizes[d];
    return n;
  }
  Walk without(int dimension) const {
    Walk w;
    for (int d = 0; d < rank; ++d)
      if (d != dimension) w.append(sizes[d], strides[d]);
    return w;
  }
  void seek(int64_t position) {
    offset = 0;
    for (int d = rank - 1; d >= 0; --d) {
      at[d] = position % sizes[d];
      position /= sizes[d];
      offset += at[d] * strides[d];
    }
  }
  void next() {
    for (int d = rank - 1; d >= 0; --d) {
      offset += strides[d];
      if (++at[d] < sizes[d]) return;
      offset -= sizes[d] * strides[d];
      at[d] = 0;
    }
  }
};

namespace detail {
template <size_t kBytes>
void copy_short_rows(char* to, int64_t to_stride, const char* from, int64_t from_stride, int64_t rows) {
  for (int64_t r = 0; r < rows; ++r) std::memcpy(to + r * to_stride, from + r * from_stride, kBytes);
}
}  // namespace detail

// Splits `rows` rows of `bytes` bytes: whole(begin, end) for ranges of short rows, part(row, begin, length) for
// pieces of long ones.
template <class Rows, class Part> void parallel_rows(int64_t rows, int64_t bytes, const Rows& whole, const Part& part) {
  if (bytes <= 0) return;
  if (bytes <= kCopyGrainBytes) return parallel_ranges(rows, kCopyGrainBytes / bytes, whole);
  const int64_t parts = (bytes + kCopyGrainBytes - 1) / kCopyGrainBytes;
  parallel_for(rows * parts, [&](int64_t task) {
    const int64_t begin = task % parts * kCopyGrainBytes;
    const int64_t rest = bytes - begin;
    part(task / parts, begin, rest < kCopyGrainBytes ? rest : kCopyGrainBytes);
  });
}

// Copies `rows` rows of `bytes` bytes; strides in bytes.
inline void copy_rows(void* target, int64_t to_stride, const void* source, int64_t from_stride, int64_t rows,
                      int64_t bytes) {
  auto* const to = static_cast<char*>(target);
  const auto* const from = static_cast<const char*>(source);
  parallel_rows(
      rows, bytes,
      [&](int64_t begin, int64_t end) {
        char* t = to + begin * to_stride;
        const char* f = from + begin * from_stride;
        switch (bytes) {
          case 1: return detail::copy_short_rows<1>(t, to_stride, f, from_stride, end - begin);
          case 2: return detail::copy_short_rows<2>(t, to_stride, f, from_stride, end - begin);
          case 4: return detail::copy_short_rows<4>(t, to_stride, f, from_stride, end - begin);
          case 8: return detail::copy_short_rows<8>(t, to_stride, f, from_stride, end - begin);
          case 16: return detail::copy_short_rows<16>(t, to_stride, f, from_stride, end - begin);
        }
        for (int64_t r = begin; r < end; ++r, t += to_stride, f += from_stride) std::memcpy(t, f, size_t(bytes));
      },
      [&](int64_t row, int64_t begin, int64_t length) {
        std::memcpy(to + row * to_stride + begin, from + row * from_stride + begin, size_t(length));
      });
}

// Zeroes `rows` rows of `bytes` bytes.
inline void zero_rows(void* target, int64_t stride, int64_t rows, int64_t bytes) {
  auto* const to = static_cast<char*>(target);
  parallel_rows(
      rows, bytes,
      [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) std::memset(to + r * stride, 0, size_t(bytes));
      },
      [&](int64_t row, int64_t begin, int64_t length) { std::memset(to + row * stride + begin, 0, size_t(length)); });
}

}  // namespace userllm
